//! OpenTelemetry: one span for each request, one below it for each phase, sent to an OTLP receiver as protobuf over HTTP.
//!
//! Spans are made when an attempt has ended, from times that were taken anyway, and wait in a bounded queue for a thread of their own:
//! a receiver that is slow or gone costs spans, never requests.

mod sender;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use flowlake_data_action::{
    ActionError, AttemptObserver, EndedAttempt, Environment, ErrorCode, TelemetrySettings,
};
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TracerProvider,
    },
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider, Span},
};

use self::sender::Sender;
use crate::endpoint::Endpoint;

/// Longest wait for the receiver, when `OTEL_EXPORTER_OTLP_TIMEOUT` says nothing else.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes traces, or does not; cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry(Option<Arc<Tracing>>);

#[derive(Debug)]
struct Tracing {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    flush_timeout: Duration,
}

impl Telemetry {
    /// Makes none.
    #[must_use]
    pub const fn disabled() -> Self {
        Self(None)
    }

    /// Sends traces where the standard variables or the settings say; makes none when neither says anything.
    ///
    /// Has to be called in the runtime that sends them.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when the address is none.
    pub fn start(
        settings: &TelemetrySettings,
        environment: &dyn Environment,
    ) -> Result<Self, ActionError> {
        let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let is = |name: &str, wanted: &str| {
            set(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
        };
        let by_variable = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"))
            .is_some();
        let is_off = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
        if is_off || (!by_variable && settings.otlp_endpoint.is_none()) {
            return Ok(Self::disabled());
        }
        let timeout = set("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
            .or_else(|| set("OTEL_EXPORTER_OTLP_TIMEOUT"))
            .and_then(|text| text.parse().ok())
            .map_or(EXPORT_TIMEOUT, Duration::from_millis);
        let sender = Sender::try_new(timeout).map_err(invalid)?;
        let mut builder = SpanExporter::builder().with_http().with_http_client(sender);
        if let Some(base) = settings.otlp_endpoint.as_ref().filter(|_| !by_variable) {
            builder = builder.with_endpoint(format!("{}/v1/traces", base.trim_end_matches('/')));
        }
        let exporter = builder.build().map_err(invalid)?;
        let mut resource = Resource::builder();
        if set("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("flowlake-server");
        }
        let resource = resource
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self::with_provider(provider, settings.flush_timeout))
    }

    fn with_provider(provider: SdkTracerProvider, flush_timeout: Duration) -> Self {
        let tracer = provider.tracer("flowlake-server");
        Self(Some(Arc::new(Tracing {
            provider,
            tracer,
            flush_timeout,
        })))
    }

    /// Begins the span of a request that arrived at that time and that endpoint, below the caller's span when the request names one.
    pub(crate) fn begin(
        &self,
        endpoint: Endpoint,
        headers: &HeaderMap,
        arrived_at: DateTime<Utc>,
    ) -> Option<Arc<dyn AttemptObserver>> {
        let tracing = Arc::clone(self.0.as_ref()?);
        let parent = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(headers));
        let Endpoint { method, route } = endpoint;
        let span = SpanBuilder::from_name(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_start_time(arrived_at)
            .with_attributes([
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.route", route),
            ])
            .start_with_context(&tracing.tracer, &parent);
        Some(Arc::new(RequestSpan {
            tracing,
            context: span.span_context().clone(),
            span: Mutex::new(Some(span)),
        }))
    }

    /// Sends what is left, and waits for it no longer than the settings say.
    pub async fn stop(self) {
        let Some(tracing) = self.0 else {
            return;
        };
        let flushed = tokio::task::spawn_blocking(move || {
            tracing
                .provider
                .shutdown_with_timeout(tracing.flush_timeout)
        });
        match flushed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not taken"),
            Err(error) => tracing::warn!(%error, "the last spans were not sent"),
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> ActionError {
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("traces cannot be sent: {error}"),
        "Correct OTEL_EXPORTER_OTLP_ENDPOINT, or `otlp_endpoint` in [telemetry].",
    )
    .at_key(["telemetry", "otlp_endpoint"])
    .with_source(error)
}

/// The span of one request, until the attempt has ended.
#[derive(Debug)]
struct RequestSpan {
    tracing: Arc<Tracing>,
    context: SpanContext,
    span: Mutex<Option<Span>>,
}

impl AttemptObserver for RequestSpan {
    /// Only of a trace that is kept: an exemplar has to lead somewhere.
    fn trace_id(&self) -> Option<String> {
        self.context
            .is_sampled()
            .then(|| self.context.trace_id().to_string())
    }

    fn ended(&self, attempt: &EndedAttempt<'_>) {
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut span) = span.take() else {
            return;
        };
        let start = SystemTime::from(attempt.started_at);
        let below = Context::new().with_remote_span_context(self.context.clone());
        for timing in attempt.phases {
            let began = start + timing.started_after;
            SpanBuilder::from_name(timing.phase.name())
                .with_kind(SpanKind::Internal)
                .with_start_time(began)
                .start_with_context(&self.tracing.tracer, &below)
                .end_with_timestamp(began + timing.duration);
        }
        for attribute in attributes(attempt) {
            span.set_attribute(attribute);
        }
        // A refusal is an answer; only what went wrong on our side marks the span.
        if attempt.http_status >= 500 {
            span.set_status(Status::error(attempt.code.to_owned()));
        }
        span.end_with_timestamp(start + attempt.duration);
    }
}

/// Names and figures only: no parameter, no caller, no key of an object.
fn attributes(attempt: &EndedAttempt<'_>) -> Vec<KeyValue> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut attributes = vec![
        KeyValue::new("http.response.status_code", i64::from(attempt.http_status)),
        KeyValue::new("flowlake.outcome", attempt.code.to_owned()),
        KeyValue::new("flowlake.received_bytes", number(attempt.bytes)),
        KeyValue::new("flowlake.rows", number(attempt.rows)),
    ];
    // A name that no action has was made up by the caller.
    if attempt.code != ErrorCode::ActionUnknown.as_str() {
        attributes.push(KeyValue::new("flowlake.action", attempt.action.to_owned()));
    }
    attributes.extend(
        attempt
            .audit_id
            .map(|id| KeyValue::new("flowlake.audit_id", id.to_owned())),
    );
    attributes
}

#[cfg(test)]
mod tests;
