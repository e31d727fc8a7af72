//! The HTTP front of STS, IAM and Cost Explorer: failures on demand, signature, dispatch, and
//! errors in each protocol's own form.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::call::Call;
use super::cost::{self, CostTable};
use super::query::Parameters;
use super::refusal::Refusal;
use super::xml::Xml;
use super::{iam, model, sigv4, sts};
use crate::clock::Clock;
use crate::faults::{Failure, ReceivedRequest, Traffic};
use crate::iam::Directory;

/// No request to these services is larger.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What answers the port of STS, IAM and Cost Explorer.
#[derive(Debug, Clone)]
pub(crate) struct AwsFront {
    pub(crate) directory: Arc<Directory>,
    pub(crate) costs: Arc<CostTable>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) traffic: Traffic,
    pub(crate) simulation_page: usize,
}

/// The wire format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Query,
    Json,
}

impl hyper::service::Service<Request<Incoming>> for AwsFront {
    type Response = Response<Full<Bytes>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.answer(request).await })
    }
}

impl AwsFront {
    async fn answer(&self, request: Request<Incoming>) -> std::io::Result<Response<Full<Bytes>>> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES)
            .collect()
            .await
            .map_err(std::io::Error::other)?
            .to_bytes();
        let target = parts
            .headers
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let protocol = if target.is_some() {
            Protocol::Json
        } else {
            Protocol::Query
        };
        let parameters = Parameters::parse(if target.is_none() { &body } else { b"" });
        let operation = match &target {
            Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
            None => parameters.action.clone(),
        };
        self.traffic.remember(ReceivedRequest::new(
            &operation,
            &parts.uri,
            &parts.headers,
            &body,
        ));
        let refusal = match self.traffic.admit(&operation) {
            None => None,
            Some(Failure::Slow(time)) => {
                tokio::time::sleep(time).await;
                None
            }
            Some(Failure::Hang) => std::future::pending().await,
            Some(Failure::Disconnect | Failure::Lost) => {
                return Err(std::io::Error::other("disconnected on demand"));
            }
            Some(Failure::Garbage) => return Ok(Response::new(Full::from("<not xml"))),
            Some(failure) => Some(asked_for(&failure)),
        };
        let outcome = match refusal {
            Some(refusal) => Err(refusal),
            None => self.dispatch(&parts, &body, &operation, &parameters),
        };
        let mut response = render(protocol, &operation, outcome);
        // The stand-in's own time, by which clients see how far their clock is off.
        let date = self.clock.now().format("%a, %d %b %Y %H:%M:%S GMT");
        if let Ok(value) = HeaderValue::from_str(&date.to_string()) {
            response.headers_mut().insert(http::header::DATE, value);
        }
        Ok(response)
    }

    fn dispatch(
        &self,
        parts: &Parts,
        body: &[u8],
        operation: &str,
        parameters: &Parameters,
    ) -> Result<Answer, Refusal> {
        let now = self.clock.now();
        if operation == "AssumeRoleWithWebIdentity" {
            model::check_query("sts", operation, parameters.values())
                .map_err(|message| Refusal::new(400, "ValidationError", message))?;
            let xml = sts::assume_role_with_web_identity(&self.directory, parameters, now)?;
            return Ok(Answer::Xml(sts::NAMESPACE, xml.into_string()));
        }
        let signed = sigv4::verify(parts, body, &self.directory, now)?;
        let call = Call {
            principal: &signed.principal,
            directory: &self.directory,
            parameters,
            now,
            simulation_page: self.simulation_page,
            service: &signed.service,
        };
        let xml = |namespace, xml: Result<Xml, Refusal>| {
            xml.map(|xml| Answer::Xml(namespace, xml.into_string()))
        };
        let wrong = |message: String| Refusal::new(400, "ValidationError", message);
        match signed.service.as_str() {
            "ce" => model::check_json("ce", operation, body)
                .map_err(|message| Refusal::new(400, "ValidationException", message))?,
            service => {
                model::check_query(service, operation, parameters.values()).map_err(wrong)?;
            }
        }
        match (signed.service.as_str(), operation) {
            ("sts", _) if parameters.version != "2011-06-15" => Err(unknown(operation)),
            ("sts", "GetCallerIdentity") => xml(sts::NAMESPACE, sts::get_caller_identity(&call)),
            ("sts", "AssumeRole") => xml(sts::NAMESPACE, sts::assume_role(&call)),
            ("iam", _) if parameters.version != "2010-05-08" => Err(unknown(operation)),
            ("iam", "GetRole") => xml(iam::NAMESPACE, iam::get_role(&call)),
            ("iam", "ListUserTags") => xml(iam::NAMESPACE, iam::list_user_tags(&call)),
            ("iam", "SimulatePrincipalPolicy") => {
                xml(iam::NAMESPACE, iam::simulate_principal_policy(&call))
            }
            ("ce", "GetCostAndUsage") => {
                cost::get_cost_and_usage(&call, &self.costs, body).map(Answer::Json)
            }
            _ => Err(unknown(operation)),
        }
    }
}

fn unknown(operation: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidAction",
        format!("Could not find operation {operation} for this service and version"),
    )
}

fn asked_for(failure: &Failure) -> Refusal {
    let message = "This failure was asked for.";
    match failure {
        Failure::RateLimited {
            retry_after_seconds,
        } => Refusal {
            retry_after: Some(*retry_after_seconds),
            ..Refusal::new(400, "Throttling", "Rate exceeded")
        },
        Failure::Code { status, code } => Refusal::new(*status, code, message),
        Failure::Status(503) => Refusal::new(503, "ServiceUnavailable", message),
        Failure::Status(status) => Refusal::new(*status, "InternalFailure", message),
        _ => Refusal::new(500, "InternalFailure", message),
    }
}

/// An answer's body, before the envelope.
enum Answer {
    Xml(&'static str, String),
    Json(String),
}

fn render(
    protocol: Protocol,
    operation: &str,
    outcome: Result<Answer, Refusal>,
) -> Response<Full<Bytes>> {
    let id = uuid::Uuid::new_v4().to_string();
    let mut retry_after = None;
    let (status, body) = match outcome {
        Ok(Answer::Json(body)) => (200, body),
        Ok(Answer::Xml(namespace, body)) => (
            200,
            format!(
                "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{body}\
                 </{operation}Result><ResponseMetadata><RequestId>{id}</RequestId>\
                 </ResponseMetadata></{operation}Response>"
            ),
        ),
        Err(refusal) => {
            retry_after = refusal.retry_after;
            (refusal.status, error_body(protocol, &refusal, &id))
        }
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static(match protocol {
            Protocol::Query => "text/xml",
            Protocol::Json => "application/x-amz-json-1.1",
        }),
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-amzn-requestid", value);
    }
    if let Some(seconds) = retry_after {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn error_body(protocol: Protocol, refusal: &Refusal, id: &str) -> String {
    match protocol {
        Protocol::Json => serde_json::json!({
            "__type": refusal.code,
            "Message": refusal.message,
        })
        .to_string(),
        Protocol::Query => {
            let mut xml = Xml::default();
            xml.node("ErrorResponse", |xml| {
                xml.node("Error", |xml| {
                    let side = if refusal.status < 500 {
                        "Sender"
                    } else {
                        "Receiver"
                    };
                    xml.text("Type", side)
                        .text("Code", &refusal.code)
                        .text("Message", &refusal.message);
                })
                .text("RequestId", id);
            });
            xml.into_string()
        }
    }
}
