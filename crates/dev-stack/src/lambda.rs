//! AWS Lambda: the runtime API that a function takes its events from, and the API that invokes it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::server;

/// The largest event and the largest answer of a function.
const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;
/// How long an invocation over HTTP may take.
const USUAL_TIMEOUT: Duration = Duration::from_secs(30);

type Reply = Response<Full<Bytes>>;

/// One execution environment of a function, whose process is somebody else's: it asks this runtime API for events.
#[derive(Debug)]
pub struct LambdaRuntime {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// An event for the function, and what comes with it.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The event, as JSON.
    pub event: String,
    /// How long the function may take; it is in the head of the event as a moment.
    pub timeout: Duration,
    /// What the client of an SDK says of itself.
    pub client_context: Option<Value>,
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invoked {
    /// With an answer, as it was sent.
    Answered(String),
    /// With an error.
    Failed {
        /// The member `errorType`, which the header of the error repeats.
        error_type: String,
        /// The member `errorMessage`.
        error_message: String,
    },
    /// The function did not answer in its time: AWS ends its process.
    TimedOut,
}

#[derive(Debug)]
struct Shared {
    function_arn: String,
    state: Mutex<State>,
    /// Told when there is an event.
    arrived: Notify,
    /// Told when the function cannot start.
    failed_start: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(String, Invocation)>,
    running: HashMap<String, oneshot::Sender<Invoked>>,
    failed_start: Option<(String, String)>,
}

impl Invocation {
    /// An event of half a minute.
    #[must_use]
    pub fn of(event: &Value) -> Self {
        Self {
            event: event.to_string(),
            timeout: USUAL_TIMEOUT,
            client_context: None,
        }
    }
}

impl LambdaRuntime {
    /// Starts the runtime API of a function with this address (ARN).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`](crate::ErrorKind::Network) when no port can be had.
    pub async fn start(function_arn: impl Into<String>) -> Result<Self, Error> {
        let (listener, address) = server::bind().await?;
        let shared = Arc::new(Shared {
            function_arn: function_arn.into(),
            state: Mutex::default(),
            arrived: Notify::new(),
            failed_start: Notify::new(),
        });
        let (stop, stopped) = watch::channel(false);
        let front = Front(Arc::clone(&shared));
        let task = tokio::spawn(server::serve(listener, front, stopped));
        Ok(Self {
            address,
            shared,
            stop,
            task,
        })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`; the API that invokes the function answers there too.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the function an event, and waits for what comes of it.
    pub async fn invoke(&self, invocation: Invocation) -> Invoked {
        self.shared.invoke(invocation).await
    }

    /// Waits until the function says why it cannot start: `errorType` and `errorMessage`.
    pub async fn failed_start(&self) -> (String, String) {
        loop {
            let told = self.shared.failed_start.notified();
            if let Some(failed) = self.shared.lock().failed_start.clone() {
                return failed;
            }
            told.await;
        }
    }

    /// Ends it.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn invoke(&self, invocation: Invocation) -> Invoked {
        let id = Uuid::new_v4().to_string();
        let timeout = invocation.timeout;
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.lock();
            state.running.insert(id.clone(), answer);
            state.waiting.push_back((id.clone(), invocation));
        }
        self.arrived.notify_one();
        let ended = tokio::time::timeout(timeout, answered).await;
        self.lock().running.remove(&id);
        match ended {
            Ok(Ok(invoked)) => invoked,
            _ => Invoked::TimedOut,
        }
    }

    /// `GET /runtime/invocation/next`: waits for an event.
    async fn next(&self) -> Reply {
        let (id, invocation) = loop {
            let arrived = self.arrived.notified();
            if let Some(next) = self.lock().waiting.pop_front() {
                break next;
            }
            arrived.await;
        };
        let timeout = TimeDelta::from_std(invocation.timeout).unwrap_or_default();
        let deadline = SystemClock.now() + timeout;
        let mut reply = Response::new(Full::from(invocation.event));
        let mut head = vec![
            ("lambda-runtime-aws-request-id", id),
            (
                "lambda-runtime-deadline-ms",
                deadline.timestamp_millis().to_string(),
            ),
            (
                "lambda-runtime-invoked-function-arn",
                self.function_arn.clone(),
            ),
            ("content-type", "application/json".to_owned()),
        ];
        if let Some(context) = invocation.client_context {
            head.push(("lambda-runtime-client-context", context.to_string()));
        }
        for (name, value) in head {
            if let Ok(value) = HeaderValue::from_str(&value) {
                reply
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value);
            }
        }
        reply
    }

    /// `POST /runtime/invocation/ID/…`: an id that is not running is refused.
    fn end(&self, id: &str, invoked: Invoked) -> Reply {
        let Some(waiting) = self.lock().running.remove(id) else {
            return refusal(400, "InvalidRequestID");
        };
        let _ = waiting.send(invoked);
        accepted()
    }

    async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &http::HeaderMap,
        body: &Bytes,
    ) -> Reply {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let text = || String::from_utf8_lossy(body).into_owned();
        match (method, parts.as_slice()) {
            (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => self.next().await,
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"]) => {
                self.end(id, Invoked::Answered(text()))
            }
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"]) => {
                match failure(headers, body) {
                    Some((error_type, error_message)) => self.end(
                        id,
                        Invoked::Failed {
                            error_type,
                            error_message,
                        },
                    ),
                    None => refusal(400, "InvalidErrorShape"),
                }
            }
            (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
                match failure(headers, body) {
                    Some(failed) => {
                        self.lock().failed_start = Some(failed);
                        self.failed_start.notify_waiters();
                        accepted()
                    }
                    None => refusal(400, "InvalidErrorShape"),
                }
            }
            (&Method::POST, ["2015-03-31", "functions", _, "invocations"]) => {
                let invocation = Invocation {
                    event: text(),
                    timeout: USUAL_TIMEOUT,
                    client_context: None,
                };
                invoked(self.invoke(invocation).await)
            }
            _ => refusal(404, "ResourceNotFoundException"),
        }
    }
}

/// What `errorType` and `errorMessage` say; none when a member is missing, or the header says something else.
fn failure(headers: &http::HeaderMap, body: &Bytes) -> Option<(String, String)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let (kind, message) = (body["errorType"].as_str()?, body["errorMessage"].as_str()?);
    let header = headers.get("lambda-runtime-function-error-type");
    let agrees = header.is_none_or(|header| header == kind || header == "unhandled");
    agrees.then(|| (kind.to_owned(), message.to_owned()))
}

/// The answer of the API that invokes: a function's failure has the status of a success, and a header.
fn invoked(invoked: Invoked) -> Reply {
    let body = match invoked {
        Invoked::Answered(body) => return Response::new(Full::from(body)),
        Invoked::Failed {
            error_type,
            error_message,
        } => json!({ "errorType": error_type, "errorMessage": error_message }),
        Invoked::TimedOut => json!({ "errorMessage": "Task timed out" }),
    };
    let mut reply = Response::new(Full::from(body.to_string()));
    let kind = HeaderValue::from_static("Unhandled");
    reply.headers_mut().insert("x-amz-function-error", kind);
    reply
}

fn accepted() -> Reply {
    let mut reply = Response::new(Full::from(json!({ "status": "OK" }).to_string()));
    *reply.status_mut() = StatusCode::ACCEPTED;
    reply
}

fn refusal(status: u16, kind: &str) -> Reply {
    let body = json!({ "errorType": kind, "errorMessage": "The request was refused." });
    let mut reply = Response::new(Full::from(body.to_string()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    reply
}

/// What answers the port.
#[derive(Debug, Clone)]
struct Front(Arc<Shared>);

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Reply;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, std::io::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
            let Ok(body) = body else {
                return Ok(refusal(413, "RequestTooLarge"));
            };
            let (path, body) = (parts.uri.path(), body.to_bytes());
            let reply = shared.answer(&parts.method, path, &parts.headers, &body);
            Ok(reply.await)
        })
    }
}
