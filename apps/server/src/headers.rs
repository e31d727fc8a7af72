//! What every request must be and every answer says, whatever its path.

use axum::{
    body::HttpBody,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Version,
        header::{
            AUTHORIZATION, CACHE_CONTROL, HOST, ORIGIN, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::Next,
    response::Response,
};
use flowlake_data_action::{ActionError, ErrorCode};

use crate::{
    body::{self, BodyLimits},
    caller::{LONGEST_ID, REQUEST_ID},
    refusal::refuse_with,
};

/// Refuses a request whose head is ambiguous or comes from a web page of elsewhere, reads what is left of a body that nobody wanted,
/// and marks every answer as one for its caller alone, to be read as the type that it names.
pub(crate) async fn guard(
    State(limits): State<BodyLimits>,
    request: Request,
    next: Next,
) -> Response {
    let request_id = request_id(request.headers());
    let checked = check(&request);
    let (request, unread) = body::observe(request);
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err((status, error)) => {
            drop(request);
            refuse_with(status, error)
        }
    };
    unread.drain(limits).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if let Some(id) = request_id {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The caller's name for the request, where it is one that can be given back.
fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let is_printable = id.as_bytes().iter().all(u8::is_ascii_graphic);
    (is_printable && id.len() <= LONGEST_ID).then(|| id.clone())
}

fn check(request: &Request) -> Result<(), (StatusCode, ActionError)> {
    let headers = request.headers();
    let hosts = headers.get_all(HOST).iter().count();
    // RFC 9112, 3.2. HTTP/2 has the authority in its target.
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err((StatusCode::BAD_REQUEST, invalid("it needs one Host header")));
    }
    // Of what is coded twice, a proxy in front may have seen another body.
    let codings = headers.get_all(TRANSFER_ENCODING).iter();
    if !codings
        .into_iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        let error = invalid("its transfer coding is another than chunked");
        return Err((StatusCode::NOT_IMPLEMENTED, error));
    }
    // Of two, a proxy in front may have looked at the other.
    if headers.get_all(AUTHORIZATION).iter().count() > 1 {
        return Err((
            StatusCode::BAD_REQUEST,
            invalid("it has two Authorization headers"),
        ));
    }
    // Nobody looks at it, and a proxy in front may do with it what it wants.
    let has_body = request.body().size_hint().exact() != Some(0);
    if has_body && matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(body::invalid_with(
            "a GET has no body",
            "Send parameters in the query, or in the body of a POST.",
        ));
    }
    if is_foreign(request, headers) {
        let error = invalid("a web page of another origin sent it");
        return Err((StatusCode::FORBIDDEN, error));
    }
    Ok(())
}

/// Whether a browser says that the request comes from a page of another origin. Its user did not mean to send it.
fn is_foreign(request: &Request, headers: &HeaderMap) -> bool {
    if headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none")
    {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let own = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| {
            request
                .uri()
                .authority()
                .map(|authority| authority.as_str())
        });
    let origin = origin.to_str().unwrap_or_default();
    let of_page = origin.split_once("://").map(|(_scheme, host)| host);
    own.is_none() || of_page != own
}

fn invalid(what: &str) -> ActionError {
    ActionError::new(
        ErrorCode::RequestInvalid,
        format!("the request cannot be taken: {what}"),
        "Send it from a server, with the headers of one plain HTTP request.",
    )
}
