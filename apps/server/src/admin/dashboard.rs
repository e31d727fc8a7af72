//! The dashboard: one page, which shows what `/v1/events` sends.

use axum::{http::header::CONTENT_TYPE, response::IntoResponse};

pub(super) async fn page() -> impl IntoResponse {
    let kind = [(CONTENT_TYPE, "text/html; charset=utf-8")];
    (kind, include_str!("dashboard/page.html"))
}

pub(super) async fn style() -> impl IntoResponse {
    let kind = [(CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("dashboard/dashboard.css"))
}

pub(super) async fn script() -> impl IntoResponse {
    let kind = [(CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("dashboard/dashboard.js"))
}
