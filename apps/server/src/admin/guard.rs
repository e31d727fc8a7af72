//! Keeps web pages of elsewhere out, which a browser on the same machine could otherwise lead here.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::Request,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY},
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use flowlake_data_action::{ActionError, ErrorCode, ServerSettings};

use crate::refusal::refuse_with;

/// The page loads its own files, asks its own address, and does nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The names that requests may call this address by.
#[derive(Debug, Clone)]
pub(super) struct OwnNames(Option<Arc<str>>);

impl OwnNames {
    pub(super) fn of(settings: &ServerSettings) -> Self {
        let admin = settings.admin.as_deref().unwrap_or_default();
        let host = admin.rsplit_once(':').map(|(host, _port)| host.into());
        Self(host)
    }

    /// Whether a request to this host was meant for this server. A page of another site that has its own name point here (DNS
    /// rebinding) sends that name; an IP address cannot be made to point elsewhere.
    fn contain(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self.0.as_deref().is_some_and(|own| own == host)
    }
}

pub(super) async fn guard(names: OwnNames, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(Authority::as_str));
    let is_own = host.is_some_and(|host| names.contain(host));
    let mut response = if is_own {
        next.run(request).await
    } else {
        let error = ActionError::new(
            ErrorCode::RequestInvalid,
            "the request names another host than this one",
            "Use an IP address, `localhost`, or the name in `admin` of [server].",
        );
        refuse_with(StatusCode::FORBIDDEN, error)
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
