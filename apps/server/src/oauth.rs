//! `POST /oauth/token`: client credentials for a token (RFC 6749, section 4.4), as Genesys Cloud's "User Defined (OAuth)" asks.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;
use url::form_urlencoded;

use crate::{auth::user_and_password, body, failures::Reason, peer::Peer, state::AppState};

/// What the form of a request says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// Why there is no token, as section 5.2 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenError {
    InvalidRequest,
    InvalidClient,
    UnsupportedGrantType,
}

pub(crate) async fn token(
    State(state): State<Arc<AppState>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let form = match body::read(&head.headers, body, state.body_limits).await {
        Ok(body) => form(&head.headers, &body),
        Err((status, _)) => return refuse(status, TokenError::InvalidRequest),
    };
    let credentials = form.and_then(|form| credentials(&head.headers, form));
    let (client_id, secret) = match credentials {
        Ok(credentials) => credentials,
        Err(refused) => return refuse(StatusCode::BAD_REQUEST, refused),
    };
    if let Some((given, client)) = state.callers.issue_token(&client_id, &secret) {
        peer.set_authenticated();
        tracing::info!(client, "a token was given");
        return Json(json!({
            "access_token": given.token,
            "token_type": "Bearer",
            "expires_in": given.lifetime_seconds,
        }))
        .into_response();
    }
    match state.failures.note(peer.network(), Reason::Wrong).await {
        Ok(()) => refuse(StatusCode::UNAUTHORIZED, TokenError::InvalidClient),
        Err(error) => {
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, TokenError::InvalidClient);
            let wait = error.retry_after().map_or(1, |wait| wait.as_secs());
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(wait));
            response
        }
    }
}

fn form(headers: &HeaderMap, body: &Bytes) -> Result<Form, TokenError> {
    let is_form = headers.get(CONTENT_TYPE).is_none_or(|kind| {
        let kind = kind.to_str().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if !is_form {
        return Err(TokenError::InvalidRequest);
    }
    let mut form = Form::default();
    for (name, value) in form_urlencoded::parse(body) {
        let place = match &*name {
            "grant_type" => &mut form.grant_type,
            "client_id" => &mut form.client_id,
            "client_secret" => &mut form.client_secret,
            // Section 3.2: what is not known is ignored, such as `scope`.
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(TokenError::InvalidRequest);
        }
    }
    Ok(form)
}

/// The credentials, of the header or of the form and not of both (section 2.3).
fn credentials(headers: &HeaderMap, form: Form) -> Result<(String, String), TokenError> {
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => return Err(TokenError::UnsupportedGrantType),
        None => return Err(TokenError::InvalidRequest),
    }
    match (
        headers.get(AUTHORIZATION),
        form.client_id,
        form.client_secret,
    ) {
        (Some(sent), id, None) => {
            let sent = sent.to_str().ok().and_then(|sent| sent.split_once(' '));
            let sent = sent.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
            let pair = sent.and_then(|(_, sent)| user_and_password(sent.trim()));
            let (user, password) = pair.ok_or(TokenError::InvalidRequest)?;
            if id.is_some_and(|id| id != user) {
                return Err(TokenError::InvalidRequest);
            }
            Ok((user, password))
        }
        (None, Some(id), Some(secret)) => Ok((id, secret)),
        _ => Err(TokenError::InvalidRequest),
    }
}

fn refuse(status: StatusCode, refused: TokenError) -> Response {
    let (error, description) = match refused {
        TokenError::InvalidRequest => (
            "invalid_request",
            "send grant_type=client_credentials as a form, with the client's id and secret by HTTP Basic or in the form",
        ),
        TokenError::InvalidClient => (
            "invalid_client",
            "the client or its secret is not known here",
        ),
        TokenError::UnsupportedGrantType => (
            "unsupported_grant_type",
            "the only grant type is client_credentials",
        ),
    };
    let body = json!({ "error": error, "error_description": description });
    let mut response = (status, Json(body)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"flowlake\", charset=\"UTF-8\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}
