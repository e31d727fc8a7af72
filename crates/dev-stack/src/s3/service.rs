//! The HTTP front of S3: failures on demand, request ids, then `s3s`.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Error, S3ErrorCode};
use s3s_fs::FileSystem;

use super::access::{Gate, Keys};
use super::object_state::ObjectStates;
use super::store::Store;
use crate::aws::{check_rest, check_xml, has_xml_body};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::faults::{Failure, ReceivedRequest, Traffic};
use crate::iam::Directory;

/// Room for the 10,000 parts of the longest upload.
const MAX_XML_BYTES: usize = 8 << 20;

/// What answers S3's port.
#[derive(Clone)]
pub(crate) struct S3Front {
    service: S3Service,
    traffic: Traffic,
    sequence: Arc<AtomicU64>,
}

/// What the front is made of.
pub(crate) struct Parts<'a> {
    pub(crate) root: &'a Path,
    pub(crate) directory: &'a Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) traffic: Traffic,
    pub(crate) states: ObjectStates,
    pub(crate) secure_transport: bool,
}

/// Puts the store, the keys and the gate together.
pub(crate) fn build(parts: Parts<'_>) -> Result<S3Front, Error> {
    let Parts {
        root,
        directory,
        clock,
        traffic,
        states,
        secure_transport,
    } = parts;
    let refused = |message: &str| {
        Error::new(
            ErrorKind::Folder,
            format!("the folder {} {message}", root.display()),
        )
    };
    let root = root
        .canonicalize()
        .map_err(|source| refused("cannot be opened, create it first").with_source(source))?;
    let inner = FileSystem::new(&root)
        .map_err(|source| refused(&format!("cannot serve as S3: {source:?}")))?;
    let mut builder = S3ServiceBuilder::new(Store::new(
        inner,
        root,
        Arc::clone(directory),
        states.clone(),
    ));
    builder.set_auth(Keys(Arc::clone(directory)));
    builder.set_access(Gate {
        directory: Arc::clone(directory),
        clock,
        operations: traffic.clone(),
        states,
        secure_transport,
    });
    Ok(S3Front {
        service: builder.build(),
        traffic,
        sequence: Arc::default(),
    })
}

impl hyper::service::Service<Request<Incoming>> for S3Front {
    type Response = Response<Body>;
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let id = this.sequence.fetch_add(1, Ordering::Relaxed);
            let operation = operation(&request);
            let (request, xml) = with_xml(operation, request).await?;
            this.traffic.remember(ReceivedRequest::new(
                operation,
                request.uri(),
                request.headers(),
                &xml,
            ));
            let wrong = check_rest(operation, request.uri().query(), request.headers())
                .and_then(|()| check_xml(operation, &xml))
                .err();
            let mut response = match this.traffic.failure(operation) {
                None if wrong.is_some() => {
                    this.traffic.note(operation);
                    refused("InvalidArgument", wrong.unwrap_or_default())?
                }
                None => this.service.call(request).await?,
                Some(Failure::Slow(time)) => {
                    tokio::time::sleep(time).await;
                    this.service.call(request).await?
                }
                Some(Failure::Hang) => {
                    this.traffic.note(operation);
                    std::future::pending().await
                }
                Some(Failure::Disconnect | Failure::Lost) => {
                    this.traffic.note(operation);
                    return Err(HttpError::new("disconnected on demand".into()));
                }
                Some(failure) => {
                    this.traffic.note(operation);
                    failed(&failure)?
                }
            };
            let headers = response.headers_mut();
            if let Ok(value) = HeaderValue::from_str(&format!("{id:016X}")) {
                headers.insert("x-amz-request-id", value);
            }
            headers.insert(
                "x-amz-id-2",
                HeaderValue::from_static("flowlake-dev-stack/loopback"),
            );
            headers.insert(http::header::SERVER, HeaderValue::from_static("AmazonS3"));
            Ok(response)
        })
    }
}

/// Reads the body ahead where it is XML, so that it can be checked; the bytes of objects stream.
async fn with_xml(
    operation: &str,
    request: Request<Incoming>,
) -> Result<(Request<Body>, Bytes), HttpError> {
    if !has_xml_body(operation) {
        return Ok((request.map(Body::from), Bytes::new()));
    }
    let (parts, body) = request.into_parts();
    let read = Limited::new(body, MAX_XML_BYTES).collect().await;
    let bytes = read.map_err(HttpError::new)?.to_bytes();
    let request = Request::from_parts(parts, Body::from(bytes.clone()));
    Ok((request, bytes))
}

/// The operation of a request, as far as it must be known before `s3s` reads it: enough to aim a
/// failure at one.
fn operation(request: &Request<Incoming>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    let asks = |name: &str| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    let has_key = request
        .uri()
        .path()
        .trim_start_matches('/')
        .split_once('/')
        .is_some_and(|(_, key)| !key.is_empty());
    let copies = request.headers().contains_key("x-amz-copy-source");
    match (request.method().as_str(), has_key) {
        ("GET", true) if asks("uploadId") => "ListParts",
        ("GET", true) if asks("tagging") => "GetObjectTagging",
        ("GET", true) => "GetObject",
        ("HEAD", true) => "HeadObject",
        ("PUT", true) if asks("uploadId") && copies => "UploadPartCopy",
        ("PUT", true) if asks("uploadId") => "UploadPart",
        ("PUT", true) if copies => "CopyObject",
        ("PUT", true) => "PutObject",
        ("POST", true) if asks("uploads") => "CreateMultipartUpload",
        ("POST", true) if asks("uploadId") => "CompleteMultipartUpload",
        ("DELETE", true) if asks("uploadId") => "AbortMultipartUpload",
        ("DELETE", true) => "DeleteObject",
        ("POST", false) if asks("delete") => "DeleteObjects",
        ("GET", false) if asks("policy") => "GetBucketPolicy",
        ("GET", false) if asks("location") => "GetBucketLocation",
        ("GET", false) if query.contains("list-type=2") => "ListObjectsV2",
        ("HEAD", false) => "HeadBucket",
        _ => "Other",
    }
}

/// An answer of status 400.
fn refused(code: &str, message: String) -> Result<Response<Body>, HttpError> {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InvalidArgument);
    S3Error::with_message(code, message)
        .to_http_response()
        .map_err(|error| HttpError::new(Box::new(error)))
}

fn failed(failure: &Failure) -> Result<Response<Body>, HttpError> {
    let (status, code, retry_after) = match failure {
        Failure::RateLimited {
            retry_after_seconds,
        } => (503, "SlowDown", Some(*retry_after_seconds)),
        Failure::Status(503) => (503, "ServiceUnavailable", None),
        Failure::Status(status) => (*status, "InternalError", None),
        Failure::Code { status, code } => (*status, code.as_str(), None),
        _ => return Ok(Response::new(Body::from("<not xml".to_owned()))),
    };
    let error = S3Error::with_message(
        S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError),
        "This failure was asked for.",
    );
    let mut response = error
        .to_http_response()
        .map_err(|error| HttpError::new(Box::new(error)))?;
    if let Ok(status) = http::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}
