//! What spans are made of an attempt, without a receiver.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use flowlake_data_action::{EndedAttempt, Environment, Phase, PhaseTiming, TelemetrySettings};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};

use super::Telemetry;
use crate::endpoint::Endpoint;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[derive(Debug)]
struct Variables(HashMap<&'static str, &'static str>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|&value| value.to_owned())
    }
}

/// Keeps every exported span. Clones share the list.
#[derive(Debug, Default, Clone)]
struct KeptSpans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for KeptSpans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// Runs one attempt with the given flags in its `traceparent`.
fn trace(flags: &str, code: &str, http_status: u16) -> (Option<String>, Vec<SpanData>) {
    let exporter = KeptSpans::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let telemetry = Telemetry::with_provider(provider, Duration::from_secs(1));
    let mut headers = HeaderMap::new();
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    headers.insert("traceparent", HeaderValue::from_str(&parent).unwrap());
    let arrived_at: DateTime<Utc> = "2026-11-23T12:00:00Z".parse().unwrap();
    let endpoint = Endpoint {
        method: "POST",
        route: "/v1/actions/{name}",
    };
    let observer = telemetry.begin(endpoint, &headers, arrived_at).unwrap();
    let ended = EndedAttempt {
        action: "look-up",
        code,
        http_status,
        audit_id: Some("audit-1"),
        started_at: arrived_at,
        duration: Duration::from_millis(10),
        phases: &[PhaseTiming {
            phase: Phase::Scan,
            started_after: Duration::from_millis(2),
            duration: Duration::from_millis(5),
        }],
        bytes: 7,
        rows: 1,
    };
    observer.ended(&ended);
    observer.ended(&ended);
    let spans = std::mem::take(&mut *exporter.0.lock().unwrap());
    (observer.trace_id(), spans)
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let mut all = span.attributes.iter();
    all.find(|attribute| attribute.key.as_str() == name)
        .map(|attribute| attribute.value.to_string())
}

#[test]
fn a_request_continues_its_callers_trace_with_a_span_for_each_phase() {
    let (trace_id, spans) = trace("01", "ok", 200);
    assert_eq!(trace_id.as_deref(), Some(TRACE));
    let [scan, request] = spans.as_slice() else {
        panic!("not two spans: {spans:?}");
    };
    assert_eq!(request.span_context.trace_id().to_string(), TRACE);
    assert_eq!(request.parent_span_id.to_string(), CALLER);
    assert_eq!(request.span_kind, SpanKind::Server);
    assert_eq!(request.status, Status::Unset);
    assert_eq!(attribute(request, "flowlake.action").unwrap(), "look-up");
    assert_eq!(
        attribute(request, "http.response.status_code").unwrap(),
        "200"
    );
    assert_eq!(scan.name, "scan");
    assert_eq!(scan.parent_span_id, request.span_context.span_id());
    let after = scan.start_time.duration_since(request.start_time).unwrap();
    let took = scan.end_time.duration_since(scan.start_time).unwrap();
    assert_eq!(
        (after, took),
        (Duration::from_millis(2), Duration::from_millis(5))
    );
}

#[test]
fn failures_of_ours_mark_the_span_and_made_up_names_stay_out() {
    let (_, spans) = trace("01", "s3.unavailable", 503);
    assert_eq!(spans[1].status, Status::error("s3.unavailable"));
    let (_, spans) = trace("01", "action.unknown", 404);
    assert_eq!(spans[1].status, Status::Unset);
    assert_eq!(attribute(&spans[1], "flowlake.action"), None);
}

#[test]
fn a_trace_that_the_caller_does_not_keep_is_not_made() {
    let (trace_id, spans) = trace("00", "ok", 200);
    assert_eq!((trace_id, spans.len()), (None, 0));
}

#[tokio::test]
async fn traces_are_made_only_when_somebody_says_where_to() {
    let started = |settings: &TelemetrySettings, variables: &[(&'static str, &'static str)]| {
        let variables = Variables(variables.iter().copied().collect());
        Telemetry::start(settings, &variables).map(|telemetry| telemetry.0.is_some())
    };
    let silent = TelemetrySettings::default();
    let set = TelemetrySettings {
        otlp_endpoint: Some("http://127.0.0.1:9".to_owned()),
        ..TelemetrySettings::default()
    };
    assert!(!started(&silent, &[]).unwrap());
    assert!(started(&set, &[]).unwrap());
    assert!(!started(&set, &[("OTEL_SDK_DISABLED", "true")]).unwrap());
    assert!(!started(&set, &[("OTEL_TRACES_EXPORTER", "none")]).unwrap());
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")];
    assert!(started(&silent, &endpoint).unwrap());
    let wrong = TelemetrySettings {
        otlp_endpoint: Some("http://not an address".to_owned()),
        ..TelemetrySettings::default()
    };
    assert!(started(&wrong, &[]).is_err());
}
