//! `[telemetry]`: where the server sends traces.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// `[telemetry]`. The standard variables of OpenTelemetry (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, …) work as well,
/// and win where both say something.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// The base address of an OTLP receiver that takes protobuf over HTTP, such as `http://127.0.0.1:4318`; `/v1/traces` is put behind it.
    ///
    /// Left out, and without the variables, no spans are made.
    pub otlp_endpoint: Option<String>,
    /// How long the end of the process may wait for the last spans to be taken.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub flush_timeout: Duration,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            flush_timeout: Duration::from_secs(3),
        }
    }
}
