//! Which form of the answer a request asks for, and rows without an envelope.

use std::cmp::Reverse;

use axum::{
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use flowlake_data_action::{ActionError, Answer, ErrorCode, RowFormat};

use crate::body::Refusal;

pub(crate) const AUDIT_ID: HeaderName = HeaderName::from_static("x-flowlake-audit-id");
const ROW_COUNT: HeaderName = HeaderName::from_static("x-flowlake-row-count");
const TRUNCATED: HeaderName = HeaderName::from_static("x-flowlake-truncated");
const SKIPPED_ROWS: HeaderName = HeaderName::from_static("x-flowlake-skipped-rows");
const NULLED_VALUES: HeaderName = HeaderName::from_static("x-flowlake-nulled-values");
const FILES_LEFT_OUT: HeaderName = HeaderName::from_static("x-flowlake-files-left-out");
const COST_USD: HeaderName = HeaderName::from_static("x-flowlake-cost-usd");

/// The format that is most wanted, by the quality of the range that names it most exactly (RFC 9110, 12.5.1). Of equally wanted ones
/// that of the first range, and JSON, which has the envelope, where no header says anything or `*/*` does.
///
/// # Errors
/// 406 where no format is wanted.
pub(crate) fn format(headers: &HeaderMap) -> Result<RowFormat, Refusal> {
    let mut ranges = Vec::new();
    for value in headers.get_all(ACCEPT) {
        let value = value.to_str().unwrap_or_default();
        ranges.extend(value.split(',').filter(|range| !range.trim().is_empty()));
    }
    if ranges.is_empty() {
        return Ok(RowFormat::Json);
    }
    let mut best = None;
    for format in RowFormat::ALL {
        let named = ranges.iter().enumerate();
        let named =
            named.filter_map(|(place, range)| Some((exactness(range, format)?, place, range)));
        // The first of the most exact.
        let named = named.max_by_key(|(exactness, place, _)| (*exactness, Reverse(*place)));
        let Some((_, place, range)) = named else {
            continue;
        };
        let wanted = (quality(range), Reverse(place));
        if wanted.0 > 0 && best.is_none_or(|(most, _)| wanted > most) {
            best = Some((wanted, format));
        }
    }
    best.map(|(_, format)| format).ok_or_else(not_acceptable)
}

/// How exactly a range of `Accept` names a format.
fn exactness(range: &str, format: RowFormat) -> Option<u8> {
    let kind = range.split(';').next().unwrap_or_default().trim();
    if RowFormat::of_media_type(kind) == Some(format) {
        return Some(2);
    }
    let (main, any) = kind.split_once('/')?;
    let (own, _) = format.media_type().split_once('/')?;
    match (main, any) {
        ("*", "*") => Some(0),
        (main, "*") if main.eq_ignore_ascii_case(own) => Some(1),
        _ => None,
    }
}

fn not_acceptable() -> Refusal {
    let types = RowFormat::ALL.map(RowFormat::media_type).join(", ");
    let error = ActionError::new(
        ErrorCode::RequestInvalid,
        "no format of rows is one that `Accept` names",
        format!("Accept one of {types}, or `*/*`."),
    );
    (StatusCode::NOT_ACCEPTABLE, error)
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
    headers.insert(ROW_COUNT, HeaderValue::from(answer.row_count));
    let truncated = if answer.truncated { "true" } else { "false" };
    headers.insert(TRUNCATED, HeaderValue::from_static(truncated));
    let cost = answer.cost_tracking.metered.as_ref();
    let cost = cost.map(|cost| cost.total_usd.to_string());
    if let Some(cost) = cost.and_then(|cost| HeaderValue::try_from(cost).ok()) {
        headers.insert(COST_USD, cost);
    }
    for (name, count) in [
        (SKIPPED_ROWS, answer.skipped_rows),
        (NULLED_VALUES, answer.nulled_values),
        (FILES_LEFT_OUT, answer.files_left_out),
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
            ("", Some(RowFormat::Json)),
            (",", Some(RowFormat::Json)),
            ("*/*", Some(RowFormat::Json)),
            ("application/json", Some(RowFormat::Json)),
            ("application/*", Some(RowFormat::Json)),
            (
                "text/html,application/xhtml+xml,*/*;q=0.8",
                Some(RowFormat::Json),
            ),
            ("text/csv, */*", Some(RowFormat::Csv)),
            ("TEXT/CSV; header=present", Some(RowFormat::Csv)),
            ("text/*", Some(RowFormat::Csv)),
            ("text/*, application/json", Some(RowFormat::Csv)),
            ("application/x-ndjson", Some(RowFormat::Ndjson)),
            (
                "application/vnd.apache.arrow.stream",
                Some(RowFormat::Arrow),
            ),
            ("application/vnd.apache.parquet", Some(RowFormat::Parquet)),
            (
                "text/csv;q=0.5, application/vnd.apache.parquet;q=0.9",
                Some(RowFormat::Parquet),
            ),
            ("application/json;q=0, text/csv;q=0.1", Some(RowFormat::Csv)),
            // What is named exactly does not count as the rest does.
            ("application/json;q=0, */*", Some(RowFormat::Ndjson)),
            ("*/*;q=0.5, application/json;q=0.1", Some(RowFormat::Ndjson)),
            ("text/html", None),
            ("application/problem+json", None),
            ("image/*", None),
            ("*", None),
            ("*/csv", None),
            ("text/csv;q=0", None),
            ("*/*;q=0", None),
            ("text/csv;q=2", None),
            ("text/csv;q=0.5001", None),
            ("text/csv;q=nan", None),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(format(&headers).ok(), expected, "{accept}");
        }
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("application/json;q=0.2"));
        headers.append(ACCEPT, HeaderValue::from_static("text/csv"));
        assert_eq!(format(&headers).ok(), Some(RowFormat::Csv));
    }
}
