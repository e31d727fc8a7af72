//! The log of a program: lines on standard error, of the same kind in every program.

use std::str::FromStr;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// What is logged, such as `info` or `flowlake_server=debug`. One that cannot be read is an error: another in its place would hide
/// what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLines {
    /// For machines: one JSON object each.
    Json,
    /// For people.
    Text {
        /// Whether with colours.
        colours: bool,
    },
}

impl FromStr for LogFilter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        EnvFilter::try_new(text).map(|_| Self(text.to_owned()))
    }
}

impl LogFilter {
    /// The same with another directive, which is a part of the program and valid.
    #[must_use]
    pub fn with(self, directive: &'static str) -> Self {
        Self(format!("{},{directive}", self.0))
    }

    /// Begins to log. Of other crates, nothing below `info`, whatever the filter says: the engine's plans and the heads of
    /// requests hold values of parameters and credentials.
    ///
    /// # Panics
    /// When the process logs already.
    pub fn start(&self, lines: LogLines) {
        let filter = EnvFilter::try_new(&self.0).expect("the filter was checked when it was read");
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            // A log that cannot be written, as on a full disk, would end the attempt: saying so is a panic there.
            .log_internal_errors(false);
        let harmless = filter_fn(|line| is_harmless(line) && !is_twin(line));
        match lines {
            LogLines::Json => log.json().finish().with(harmless).init(),
            LogLines::Text { colours } => log.with_ansi(colours).finish().with(harmless).init(),
        }
    }
}

/// Whether a line can hold no value of a request.
fn is_harmless(line: &Metadata<'_>) -> bool {
    line.target().starts_with("flowlake") || *line.level() <= Level::INFO
}

/// Whether a line repeats one of ours. `lambda_runtime` writes each refusal as an error of its own; of the lines of this place,
/// only one about a panic has the field `error`.
fn is_twin(line: &Metadata<'_>) -> bool {
    line.target() == "lambda_runtime::layers::panic" && line.fields().field("error").is_none()
}

#[cfg(test)]
mod tests {
    use super::LogFilter;

    #[test]
    fn a_filter_is_read_as_a_whole_or_not_at_all() {
        let filter: LogFilter = "info,flowlake_server=debug".parse().unwrap();
        assert_eq!(filter.with("h2=off").0, "info,flowlake_server=debug,h2=off");
        assert!("flowlake_server=loud".parse::<LogFilter>().is_err());
    }
}
