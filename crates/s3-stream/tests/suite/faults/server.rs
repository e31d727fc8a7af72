//! The connection: it answers GET and HEAD of one object, with the faults of a plan.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Region},
    primitives::SdkBody,
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body_util::StreamBody;
use rand::{Rng, rngs::StdRng};

use super::{
    object::Version,
    plan::{Fault, Plan},
};

/// Largest piece of a body.
const PIECE: usize = 1500;

/// One object behind a bad connection. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Server(Arc<State>);

#[derive(Debug)]
struct State {
    plan: Plan,
    versions: Mutex<Vec<Version>>,
    requests: AtomicU64,
    /// How many requests there were for each thing.
    nth: Mutex<HashMap<(String, u64), u64>>,
    /// Bodies that are neither ended nor dropped.
    open: AtomicU64,
}

/// Counts a body as open while it lives.
struct Open(Arc<State>);

impl Open {
    fn new(state: &Arc<State>) -> Self {
        state.open.fetch_add(1, SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

/// A client of one bad connection. It signs nothing: nobody looks at signatures here, and they are a fifth of the time.
pub(crate) fn client(connector: impl HttpConnector + 'static) -> Client {
    let connector = SharedHttpConnector::new(connector);
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url("http://s3.test")
        .force_path_style(true)
        .allow_no_auth()
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Client::from_conf(config)
}

impl Server {
    pub(crate) fn new(plan: Plan) -> Self {
        let first = Version::new(1, plan.length);
        Self(Arc::new(State {
            plan,
            versions: Mutex::new(vec![first]),
            requests: AtomicU64::new(0),
            nth: Mutex::default(),
            open: AtomicU64::new(0),
        }))
    }

    pub(crate) fn client(&self) -> Client {
        client(self.clone())
    }

    /// Every version that there was.
    pub(crate) fn versions(&self) -> Vec<Version> {
        self.0.versions.lock().unwrap().clone()
    }

    pub(crate) fn open_bodies(&self) -> u64 {
        self.0.open.load(SeqCst)
    }

    async fn answer(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let state = &self.0;
        let header = |name: &str| request.headers().get(name).map(str::to_owned);
        let number = state.requests.fetch_add(1, SeqCst);
        let version = state.version_at(number);
        let range = header("range").map(|text| parse_range(&text, version.bytes.len()));
        let what = (
            request.method().to_owned(),
            range.as_ref().map_or(0, |range| range.start as u64),
        );
        let nth = {
            let mut nth = state.nth.lock().unwrap();
            let nth = nth.entry(what.clone()).or_default();
            *nth += 1;
            *nth
        };
        let (fault, mut rng) = state.plan.fault((&what.0, what.1), nth);
        match fault {
            Some(Fault::Status(status, code)) => return Ok(refusal(status, code)),
            Some(Fault::Refused) => {
                return Err(ConnectorError::io("connection refused".into()));
            }
            Some(Fault::Silent) => return std::future::pending().await,
            Some(Fault::Late) => tokio::time::sleep(Duration::from_secs(3)).await,
            _ => {}
        }
        let outdated = header("if-match").is_some_and(|etag| etag != version.etag);
        if outdated && state.plan.heeds_conditions {
            return Ok(refusal(412, "PreconditionFailed"));
        }
        let mut size = version.bytes.len();
        if fault == Some(Fault::WrongSize) {
            size = rng.random_range(0..size * 2 + 2);
        }
        let Some(range) = range.filter(|_| what.0 == "GET") else {
            let mut response = empty(200);
            let headers = response.headers_mut();
            headers.insert("content-length", size.to_string());
            headers.insert("etag", version.etag.clone());
            headers.insert("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
            if state.plan.has_checksum {
                headers.insert("x-amz-checksum-crc64nvme", version.checksum());
                headers.insert("x-amz-checksum-type", "FULL_OBJECT");
            }
            return Ok(response);
        };
        if range.is_empty() {
            return Ok(refusal(416, "InvalidRange"));
        }
        let sent = if fault == Some(Fault::Whole) {
            0..version.bytes.len()
        } else {
            range.clone()
        };
        let body = state.body(&version.bytes[sent.clone()], fault, &mut rng);
        let body = StreamBody::new(body.map(|piece| piece.map(http_body::Frame::data)));
        let status = if fault == Some(Fault::Whole) {
            200
        } else {
            206
        };
        let mut response =
            HttpResponse::new(status.try_into().unwrap(), SdkBody::from_body_1_x(body));
        let mut announced = sent.clone();
        if fault == Some(Fault::WrongRange) {
            announced.start = rng.random_range(0..announced.end);
        }
        let mut length = sent.len();
        if fault == Some(Fault::WrongLength) {
            length = rng.random_range(0..length * 2);
        }
        let headers = response.headers_mut();
        headers.insert("etag", version.etag.clone());
        headers.insert("content-length", length.to_string());
        if fault != Some(Fault::Whole) {
            let last = announced.end - 1;
            let text = format!("bytes {}-{last}/{size}", announced.start);
            headers.insert("content-range", text);
        }
        Ok(response)
    }
}

impl State {
    /// The version that the nth request finds.
    fn version_at(&self, number: u64) -> Version {
        let mut versions = self.versions.lock().unwrap();
        if self.plan.replaced_at.contains(&number) {
            let next = versions.len() as u64 + 1;
            // As long as the last one, or one byte longer: both ways in which versions could be mixed unnoticed.
            let length =
                versions[versions.len() - 1].bytes.len() + usize::from(next.is_multiple_of(2));
            versions.push(Version::new(next, length));
        }
        versions[versions.len() - 1].clone()
    }

    fn body(
        self: &Arc<Self>,
        bytes: &[u8],
        fault: Option<Fault>,
        rng: &mut StdRng,
    ) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
        let place = rng.random_range(0..=bytes.len());
        let mut content = bytes.to_vec();
        let mut end = End::Proper;
        match fault {
            Some(Fault::Truncated) => content.truncate(place),
            Some(Fault::Reset) => {
                content.truncate(place);
                end = End::Reset;
            }
            Some(Fault::Stalled) => {
                content.truncate(place);
                end = End::Never;
            }
            Some(Fault::TooLong) => content.extend_from_slice(&[0x55; 700]),
            Some(Fault::Corrupt) => {
                let place = place.min(content.len() - 1);
                content[place] ^= 1 << rng.random_range(0..8);
            }
            _ => {}
        }
        let pause = (fault == Some(Fault::Slow)).then_some(Duration::from_millis(700));
        let mut pieces = Vec::new();
        let mut rest = Bytes::from(content);
        while !rest.is_empty() {
            pieces.push(rest.split_to(rng.random_range(1..=PIECE).min(rest.len())));
        }
        let open = Open::new(self);
        stream::iter(pieces.into_iter().map(Some))
            .chain(stream::once(async { None }))
            .filter_map(move |piece| {
                let _open = &open;
                async move {
                    if let Some(pause) = pause {
                        tokio::time::sleep(pause).await;
                    }
                    match (piece, end) {
                        (Some(piece), _) => Some(Ok(piece)),
                        (None, End::Proper) => None,
                        (None, End::Reset) => Some(Err(std::io::Error::other("connection reset"))),
                        (None, End::Never) => std::future::pending().await,
                    }
                }
            })
    }
}

#[derive(Debug, Clone, Copy)]
enum End {
    Proper,
    Reset,
    Never,
}

impl HttpConnector for Server {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().answer(request))
    }
}

fn empty(status: u16) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::empty())
}

fn refusal(status: u16, code: &str) -> HttpResponse {
    let body = format!("<Error><Code>{code}</Code><Message>by plan</Message></Error>");
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}

/// `bytes=1-5` of an object, as far as it reaches.
pub(crate) fn parse_range(text: &str, length: usize) -> Range<usize> {
    let (first, last) = text
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    let last: usize = last.parse().unwrap();
    first.parse().unwrap()..length.min(last + 1)
}
