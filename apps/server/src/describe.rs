//! `GET /openapi.json`: the interface as OpenAPI 3.1, of the actions that the caller may run; and a page to try it.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
    },
    response::{IntoResponse, Response},
};
use flowlake_genesys_publish::{Field, OpenApiAction, OpenApiSettings, to_openapi};

use crate::{actions::offered, peer::Peer, state::AppState};

/// What the page may do: its own script and style, and requests to this server.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn openapi(
    State(state): State<Arc<AppState>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let identified = match state.authenticate(&headers, &peer).await {
        Ok(identified) => identified,
        Err(refusal) => return refusal,
    };
    let settings = &identified.client.settings;
    let actions: Vec<_> = offered(&state, &identified)
        .map(|definition| OpenApiAction {
            name: definition.name.clone(),
            description: definition.description.clone(),
            input: definition.params_schema(|name| settings.may_choose(name)),
            sensitive: definition.sensitive_params().map(str::to_owned).collect(),
            columns: columns(&state, &definition.name),
        })
        .collect();
    Json(to_openapi(&OpenApiSettings {
        title: "flowlake",
        description: "Actions: SQL over files on S3. With GET, the end of a path names a format, as in `.csv`.",
        server_url: "/",
        actions: &actions,
        most_in_batch: Some(state.most_in_batch),
    }))
    .into_response()
}

/// The columns of an action, once it was answered and where a contract can have them.
fn columns(state: &AppState, action: &str) -> Option<Vec<Field>> {
    let columns = state.pipeline.action(action).ok()?.answer_columns()?;
    let columns = columns.iter();
    let fields =
        columns.map(|column| Field::of_column(&column.name, &column.data_type, column.nullable));
    fields.collect::<Result<_, _>>().ok()
}

/// `GET /try`: a page to try the interface. It holds no secret: it asks for a key, and forgets it when it is closed.
pub(crate) async fn page() -> impl IntoResponse {
    asset("text/html; charset=utf-8", include_str!("page/try.html"))
}

pub(crate) async fn script() -> impl IntoResponse {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("page/try.js"),
    )
}

pub(crate) async fn style() -> impl IntoResponse {
    asset("text/css; charset=utf-8", include_str!("page/try.css"))
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(PAGE_POLICY),
        ),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, text)
}
