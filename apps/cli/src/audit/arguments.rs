//! What can be typed after `flowlake audit`.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use flowlake_cost_audit::{
    AuditStatus,
    audit::{AuditQuery, ExportFormat},
};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Prove that the log is whole, or name the first bad record and end with exit code 4
    Verify(Verify),
    /// Print the last records
    Tail(Tail),
    /// Print the records that meet every condition, oldest first
    Search(Search),
    /// Write records in a form that other tools read
    Export(Export),
}

/// Where the logs are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// A log's folder, or one that holds the folders of several servers, relative to the configuration, or `s3://bucket/prefix` where
    /// logs are shipped to; may be given several times; left out, the one that flowlake.toml names
    #[arg(long = "directory", value_name = "FOLDER")]
    pub(crate) directories: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The public key that every finished segment must be signed with; left out, that of `seal_key` in `[audit]`
    #[arg(long, value_name = "HEX")]
    pub(crate) public_key: Option<String>,
    /// A record known to be in the log, from an answer or an earlier `verify`: shows a cut end and a log that was replaced
    #[arg(long, value_name = "NUMBER:HASH", value_parser = receipt)]
    pub(crate) receipt: Option<(u64, String)>,
    /// A server whose log has to be there; may be given several times. A missing log, and one of another server, is then an error
    #[arg(long = "node", value_name = "NAME")]
    pub(crate) nodes: Vec<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many records
    #[arg(short = 'n', long, default_value_t = 10)]
    pub(crate) lines: usize,
    /// Go on printing what comes, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub(crate) output: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub(crate) output: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
    /// The form of the records
    #[arg(long, value_enum, default_value_t = ExportForm::Jsonl)]
    pub(crate) format: ExportForm,
    /// A file to write, which must not exist yet; left out, standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

/// How records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A line for people
    Text,
    /// The records as they are in the log, with their hashes
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// OCSF 1.3 API Activity events, one a line
    Ocsf,
}

/// The forms of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// The records as they are in the log, with their hashes
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// OCSF 1.3 API Activity events, one a line
    Ocsf,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Outcome {
    /// An answer was given
    Success,
    /// No answer was given
    Failed,
}

/// What records must meet.
#[derive(Debug, Default, Args)]
pub(crate) struct Conditions {
    /// Not before this day or time, such as `2026-11-01` or `2026-11-01T12:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Before this day or time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<DateTime<Utc>>,
    /// The attempt's id, as answers give it
    #[arg(long)]
    id: Option<String>,
    /// The action
    #[arg(long)]
    action: Option<String>,
    /// Who asked: the name of the key, or `cli:USER`
    #[arg(long, value_name = "NAME")]
    key_name: Option<String>,
    /// The AWS principal that read
    #[arg(long, value_name = "ARN")]
    principal: Option<String>,
    /// The Genesys Cloud organisation
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// The Genesys Cloud conversation
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// The caller's own id of the request
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// The server that wrote the record
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// A bucket that was read
    #[arg(long)]
    bucket: Option<String>,
    /// How a key that was read begins
    #[arg(long, value_name = "PREFIX")]
    key_prefix: Option<String>,
    /// How it ended
    #[arg(long, value_enum)]
    outcome: Option<Outcome>,
    /// The outcome's code: `ok`, or an error code such as `access.denied`
    #[arg(long)]
    code: Option<String>,
    /// An AWS request id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Show at most this many records
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

impl Conditions {
    /// As the log is asked.
    pub(crate) fn query(&self) -> AuditQuery {
        AuditQuery {
            since: self.since,
            until: self.until,
            id: self.id.clone(),
            action: self.action.clone(),
            caller: self.key_name.clone(),
            principal: self.principal.clone(),
            organization: self.organization.clone(),
            conversation_id: self.conversation.clone(),
            correlation_id: self.correlation.clone(),
            node: self.node.clone(),
            bucket: self.bucket.clone(),
            key_prefix: self.key_prefix.clone(),
            status: self.outcome.map(|outcome| match outcome {
                Outcome::Success => AuditStatus::Success,
                Outcome::Failed => AuditStatus::Failed,
            }),
            code: self.code.clone(),
            request_id: self.request_id.clone(),
            limit: self.limit,
        }
    }
}

impl From<ExportForm> for ExportFormat {
    fn from(form: ExportForm) -> Self {
        match form {
            ExportForm::Jsonl => Self::JsonLines,
            ExportForm::Csv => Self::Csv,
            ExportForm::Ocsf => Self::Ocsf,
        }
    }
}

/// A day, which begins at midnight of UTC, or a time with its zone.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "write a day as 2026-11-01 or a time as 2026-11-01T12:00:00Z".to_owned())
}

fn receipt(text: &str) -> Result<(u64, String), String> {
    let parsed = text
        .split_once(':')
        .and_then(|(number, hash)| Some((number.parse().ok()?, hash)));
    match parsed {
        Some((number, hash))
            if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            Ok((number, hash.to_ascii_lowercase()))
        }
        _ => Err("write NUMBER:HASH, the hash in 64 hexadecimal digits".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{receipt, time};

    #[test]
    fn days_and_times_are_read_as_utc() {
        let at = |text: &str| time(text).unwrap().to_rfc3339();
        assert_eq!(at("2026-11-01"), "2026-11-01T00:00:00+00:00");
        assert_eq!(at("2026-11-01T12:00:00+02:00"), "2026-11-01T10:00:00+00:00");
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn a_receipt_is_a_number_and_a_hash() {
        let hash = "A".repeat(64);
        assert_eq!(
            receipt(&format!("12:{hash}")).unwrap(),
            (12, "a".repeat(64))
        );
        for wrong in ["12", "x:00", &format!("12:{}", "g".repeat(64)), "12:abc"] {
            assert!(receipt(wrong).is_err(), "{wrong}");
        }
    }
}
