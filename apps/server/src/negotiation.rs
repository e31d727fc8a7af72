//! Which form of the answer a request asks for, and rows without an envelope.

use axum::{
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{ACCEPT, CONTENT_TYPE, VARY},
    },
    response::{IntoResponse, Response},
};
use flowlake_data_action::{Answer, RowFormat};

const AUDIT_ID: HeaderName = HeaderName::from_static("x-flowlake-audit-id");
const ROW_COUNT: HeaderName = HeaderName::from_static("x-flowlake-row-count");
const TRUNCATED: HeaderName = HeaderName::from_static("x-flowlake-truncated");
const SKIPPED_ROWS: HeaderName = HeaderName::from_static("x-flowlake-skipped-rows");
const NULLED_VALUES: HeaderName = HeaderName::from_static("x-flowlake-nulled-values");
const COST_USD: HeaderName = HeaderName::from_static("x-flowlake-cost-usd");

/// The format of the most wanted media type of `Accept` that there is. Of equally wanted ones the first, and JSON, which has
/// the envelope, for `*/*`, for none, and where nothing that is accepted exists (RFC 9110, 12.5.1, leaves that to the server).
pub(crate) fn format(headers: &HeaderMap) -> RowFormat {
    let mut best = (RowFormat::Json, 0);
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let kind = range.split(';').next().unwrap_or_default().trim();
            let format = match kind {
                "*/*" | "application/*" => Some(RowFormat::Json),
                "text/*" => Some(RowFormat::Csv),
                _ => RowFormat::of_media_type(kind),
            };
            if let Some(format) = format
                && quality(range) > best.1
            {
                best = (format, quality(range));
            }
        }
    }
    best.0
}

/// `q` in thousandths; 1,000 when it is left out.
fn quality(range: &str) -> u32 {
    let written = range.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(written) = written else {
        return 1000;
    };
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    let plain = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, plain) {
        ("0", true) => format!("{fraction:0<3}").parse().unwrap_or(0),
        ("1", true) => 1000,
        _ => 0,
    }
}

/// The rows alone; what the envelope would say is in the header.
pub(crate) fn rows(answer: Answer, format: RowFormat) -> Response {
    let mut headers = HeaderMap::new();
    let content_type = match format {
        RowFormat::Csv => HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
        other => HeaderValue::from_static(other.media_type()),
    };
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(ROW_COUNT, HeaderValue::from(answer.row_count));
    let truncated = if answer.truncated { "true" } else { "false" };
    headers.insert(TRUNCATED, HeaderValue::from_static(truncated));
    let cost = answer.cost_tracking.metered.as_ref();
    for (name, text) in [
        (AUDIT_ID, Some(answer.audit_log.id.clone())),
        (COST_USD, cost.map(|cost| cost.total_usd.to_string())),
    ] {
        if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(name, value);
        }
    }
    for (name, count) in [
        (SKIPPED_ROWS, answer.skipped_rows),
        (NULLED_VALUES, answer.nulled_values),
    ] {
        if count > 0 {
            headers.insert(name, HeaderValue::from(count));
        }
    }
    match format {
        RowFormat::Json => (headers, answer.data.get().to_owned()).into_response(),
        _ => (headers, answer.encoded).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header::ACCEPT};
    use flowlake_data_action::RowFormat;

    use super::format;

    #[test]
    fn the_most_wanted_media_type_that_there_is_is_taken() {
        for (accept, expected) in [
            ("", RowFormat::Json),
            ("*/*", RowFormat::Json),
            ("application/json", RowFormat::Json),
            ("text/html,application/xhtml+xml,*/*;q=0.8", RowFormat::Json),
            ("text/html", RowFormat::Json),
            ("text/csv", RowFormat::Csv),
            ("TEXT/CSV; header=present", RowFormat::Csv),
            ("text/*", RowFormat::Csv),
            ("application/x-ndjson", RowFormat::Ndjson),
            ("application/vnd.apache.arrow.stream", RowFormat::Arrow),
            ("application/vnd.apache.parquet", RowFormat::Parquet),
            (
                "text/csv;q=0.5, application/vnd.apache.parquet;q=0.9",
                RowFormat::Parquet,
            ),
            ("application/json;q=0, text/csv;q=0.1", RowFormat::Csv),
            ("text/csv;q=0", RowFormat::Json),
            ("text/csv;q=2", RowFormat::Json),
            ("text/csv;q=0.5001", RowFormat::Json),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(format(&headers), expected, "{accept}");
        }
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("application/json;q=0.2"));
        headers.append(ACCEPT, HeaderValue::from_static("text/csv"));
        assert_eq!(format(&headers), RowFormat::Csv);
    }
}
