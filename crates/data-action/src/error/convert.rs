//! From the errors of the crates below to codes: the one place where the mapping is decided.

use std::{error::Error as StdError, sync::Arc};

use flowlake_aws_access as access;
use flowlake_cost_audit as audit;
use flowlake_genesys_auth as genesys;
use flowlake_s3_stream as s3;
use flowlake_transform as transform;
use object_store::Error as StoreError;

use super::{ActionError, ErrorCode};
use crate::local::{LocalError, LocalErrorKind};

/// What to do about an object that does not exist. More advice may follow it.
pub(crate) const CHECK_URI: &str = "Check the uri under [tables] and the parameters in it.";

impl ActionError {
    /// The same error with the action's name before its message.
    #[must_use]
    pub fn in_action(mut self, name: &str) -> Self {
        self.message = format!("action `{name}`: {}", self.message);
        self
    }

    /// The error of S3, of a file of this machine or of a limit in a source chain, as ours; `None` when none of them is the cause.
    pub(crate) fn from_chain(error: &(dyn StdError + 'static)) -> Option<Self> {
        // A limit that was met while objects were read.
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(own) = error.downcast_ref::<Self>() {
                return Some(own.clone());
            }
            next = error.source();
        }
        s3::Error::find(error)
            .map(of_s3)
            .or_else(|| LocalError::find(error).map(local))
            .or_else(|| of_a_store(error))
    }
}

/// The error of a store of which no more is known than this, such as that of a worker.
fn of_a_store(error: &(dyn StdError + 'static)) -> Option<ActionError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<StoreError>() {
            let (code, message, advice) = match found {
                StoreError::NotFound { path, .. } => (
                    ErrorCode::S3NoSuchKey,
                    format!("{path} does not exist"),
                    "See whether somebody removes objects while they are read.",
                ),
                StoreError::PermissionDenied { path, .. } => (
                    ErrorCode::S3AccessDenied,
                    format!("{path} may not be read"),
                    "Give the role of the workers the right to read it.",
                ),
                StoreError::Precondition { path, .. } => (
                    ErrorCode::S3ObjectChanged,
                    format!("{path} changed while it was read"),
                    "Ask again when nobody writes the object.",
                ),
                _ => return None,
            };
            return Some(ActionError::new(code, message, advice));
        }
        next = error.source();
    }
    None
}

impl From<s3::Error> for ActionError {
    fn from(error: s3::Error) -> Self {
        of_s3(&error).with_source(error)
    }
}

fn of_s3(error: &s3::Error) -> ActionError {
    let advice = match error.kind() {
        s3::ErrorKind::NoSuchKey => CHECK_URI,
        s3::ErrorKind::NoSuchBucket => "Check the bucket's name in the uri.",
        s3::ErrorKind::WrongRegion => "Set `region` in [aws] to the bucket's region.",
        s3::ErrorKind::InvalidSetting => "Correct the settings under [s3] and [aws].",
        _ => error.advice(),
    };
    ActionError::new(s3_code(error.kind()), error.to_string(), advice)
}

impl From<LocalError> for ActionError {
    fn from(error: LocalError) -> Self {
        local(&error).with_source(error)
    }
}

/// The error of a file of this machine, as ours.
fn local(error: &LocalError) -> ActionError {
    let (code, advice) = match error.kind() {
        LocalErrorKind::Missing(_) => (
            ErrorCode::FileNotFound,
            "Correct the path; one that does not begin with `/` is relative to the present folder.",
        ),
        LocalErrorKind::Failed(_) => (
            ErrorCode::FileUnreadable,
            "Give this user the right to read it, or copy it to where it can be read.",
        ),
        LocalErrorKind::Folder => (
            ErrorCode::FileUnreadable,
            "Write a `/` behind its name to read all files below it, or a pattern such as 'data/*.csv'.",
        ),
        LocalErrorKind::Special => (
            ErrorCode::FileUnreadable,
            "Copy what it gives to a file: a file is looked into before it is read.",
        ),
        LocalErrorKind::Changed => (
            ErrorCode::FileChanged,
            "Ask again when nobody writes the file.",
        ),
    };
    let meant = error.meant();
    let meant = meant.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    ActionError::new(code, format!("{error}{meant}"), advice)
}

fn s3_code(kind: s3::ErrorKind) -> ErrorCode {
    use s3::ErrorKind;
    match kind {
        ErrorKind::NoSuchKey => ErrorCode::S3NoSuchKey,
        ErrorKind::NoSuchBucket => ErrorCode::S3NoSuchBucket,
        ErrorKind::AccessDenied => ErrorCode::S3AccessDenied,
        ErrorKind::KmsDenied => ErrorCode::S3KmsDenied,
        ErrorKind::ObjectChanged => ErrorCode::S3ObjectChanged,
        ErrorKind::Archived => ErrorCode::S3Archived,
        ErrorKind::WrongRegion => ErrorCode::S3WrongRegion,
        ErrorKind::Throttled => ErrorCode::S3Throttled,
        ErrorKind::ExpiredCredentials | ErrorKind::ClockSkew => ErrorCode::AwsCredentials,
        ErrorKind::Corrupt | ErrorKind::InvalidRange => ErrorCode::S3Corrupt,
        ErrorKind::InvalidSetting => ErrorCode::ConfigInvalid,
        _ => ErrorCode::S3Unavailable,
    }
}

impl From<transform::Error> for ActionError {
    fn from(error: transform::Error) -> Self {
        // What refused the reload of a hot table, on its way back.
        if let Some(own) = error
            .source()
            .and_then(<dyn StdError>::downcast_ref::<Self>)
        {
            return own.clone();
        }
        if let Some(mut cause) = Self::from_chain(&error) {
            cause.source = Some(Arc::new(error));
            return cause;
        }
        let (code, advice) = transform_code(error.kind());
        Self::new(code, error.to_string(), advice)
            .with_place(error.place())
            .with_source(error)
    }
}

const fn transform_code(kind: transform::ErrorKind) -> (ErrorCode, &'static str) {
    use transform::ErrorKind;
    match kind {
        ErrorKind::InvalidSpec | ErrorKind::InvalidParamSpec => (
            ErrorCode::ConfigInvalid,
            "Correct the action file; `flowlake check` reads it again.",
        ),
        ErrorKind::UndeclaredParam => (
            ErrorCode::ConfigInvalid,
            "Declare the parameter under [params], or correct its name.",
        ),
        ErrorKind::InvalidSql => (
            ErrorCode::SqlInvalid,
            "Correct the SQL of the action; `flowlake check` plans it without reading data.",
        ),
        ErrorKind::NotAllowed => (
            ErrorCode::SqlNotAllowed,
            "Correct the SQL of the action; docs/functions.md has what is refused, and why.",
        ),
        ErrorKind::NotAQuery => (
            ErrorCode::SqlNotAllowed,
            "Write one SELECT over the tables that the action declares.",
        ),
        ErrorKind::UnknownColumn => (
            ErrorCode::SqlUnknownColumn,
            "Use a column that the file has, or declare the file's schema under [tables].",
        ),
        ErrorKind::UnknownTable => (
            ErrorCode::SqlUnknownTable,
            "Declare the table under [tables], or correct its name in the SQL.",
        ),
        ErrorKind::NotComputable => (
            ErrorCode::SqlNotComputable,
            "Write the SQL so that it holds for every row: TRY_CAST, NULLIF, or a condition that leaves such rows out.",
        ),
        ErrorKind::InvalidParam => (
            ErrorCode::ParamInvalid,
            "Send the parameter as the action declares it; `flowlake check ACTION` lists them.",
        ),
        ErrorKind::MalformedData => (
            ErrorCode::DataMalformed,
            "Correct the file at that place, or choose what to do with such rows in [tables].",
        ),
        ErrorKind::NoMatchingFiles => (ErrorCode::DataNoFiles, CHECK_URI),
        ErrorKind::MemoryLimit => (
            ErrorCode::LimitMemory,
            "Group or sort by fewer distinct values, or raise `memory` in [transform].",
        ),
        ErrorKind::Timeout => (
            ErrorCode::LimitTimeout,
            "Read less (a smaller file, Parquet, a narrower uri), or raise `timeout` in [limits].",
        ),
        ErrorKind::OutputLimit => (
            ErrorCode::LimitOutput,
            "Select fewer rows or columns, or raise the action's [limits].",
        ),
        ErrorKind::ScanLimit => (
            ErrorCode::LimitScan,
            "Narrow the uri, or raise the limit: `max_scan_bytes` in [limits], or `max_files` of the table.",
        ),
        ErrorKind::UnsafeInteger => (
            ErrorCode::OutputUnsafeInteger,
            "Cast the column to text in the SELECT, such as `CAST(id AS VARCHAR)`.",
        ),
        ErrorKind::Store => (
            ErrorCode::S3Unavailable,
            "Check that S3 can be reached; `flowlake check` tries it.",
        ),
        ErrorKind::WorkerLost => (
            ErrorCode::ClusterWorkerLost,
            "See that the workers of [cluster] run and can be reached; their logs say why one ended.",
        ),
        ErrorKind::WorkerRefused => (
            ErrorCode::ClusterWorkerRefused,
            "Run the same build of flowlake everywhere in the cluster, with the same secret.",
        ),
        ErrorKind::WorkerBusy => (
            ErrorCode::ClusterWorkerBusy,
            "Ask again later, start more workers, or raise their `max_queries` in [cluster].",
        ),
        _ => (ErrorCode::Internal, "Report this with the audit id."),
    }
}

impl From<access::Error> for ActionError {
    fn from(error: access::Error) -> Self {
        use access::ErrorKind;
        let (code, advice) = match error.kind() {
            ErrorKind::InvalidSetting => (
                ErrorCode::ConfigInvalid,
                "Correct [aws] or [access] in flowlake.toml.",
            ),
            ErrorKind::NoRegion => (
                ErrorCode::ConfigInvalid,
                "Set AWS_REGION, `region` in [aws] of flowlake.toml, or that of the AWS profile.",
            ),
            ErrorKind::NotAws => (
                ErrorCode::AccessUnavailable,
                "Set `mode = \"probe\"` in [access] where S3 comes without the STS and IAM of AWS, or correct the addresses of the services.",
            ),
            ErrorKind::Credentials => (
                ErrorCode::AwsCredentials,
                "Give it AWS credentials that are valid now: sign in (`aws sso login`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; on AWS, give the machine a role.",
            ),
            ErrorKind::SimulationDenied => (
                ErrorCode::AccessDenied,
                "Allow iam:SimulatePrincipalPolicy to this principal, or set `mode = \"probe\"` in [access].",
            ),
            ErrorKind::UnsupportedPrincipal => (
                ErrorCode::AccessDenied,
                "Run flowlake as an IAM user or role, or set `mode = \"probe\"` in [access].",
            ),
            _ => (
                ErrorCode::AccessUnavailable,
                "Try again; if it lasts, check that STS and IAM can be reached.",
            ),
        };
        Self::new(code, error.to_string(), advice).with_source(error)
    }
}

impl From<genesys::Error> for ActionError {
    fn from(error: genesys::Error) -> Self {
        use genesys::ErrorKind;
        let (code, advice) = match error.kind() {
            ErrorKind::InvalidSetting => (
                ErrorCode::ConfigInvalid,
                "Correct [genesys] in flowlake.toml.",
            ),
            ErrorKind::RejectedCredentials => (
                ErrorCode::GenesysCredentials,
                "Check client_id, the secret and the region in [genesys]; the OAuth client must use the Client Credentials grant.",
            ),
            ErrorKind::RateLimited => (
                ErrorCode::GenesysRateLimited,
                "Wait as long as Genesys Cloud asked, then try again.",
            ),
            _ => (
                ErrorCode::GenesysUnavailable,
                "Try again; if it lasts, check the region and status.mypurecloud.com.",
            ),
        };
        let wait = error.retry_after();
        Self::new(code, error.to_string(), advice)
            .with_retry_after(wait)
            .with_source(error)
    }
}

impl From<audit::Error> for ActionError {
    fn from(error: audit::Error) -> Self {
        use audit::ErrorKind;
        let said = error.to_string();
        let (code, message, advice) = match error.kind() {
            ErrorKind::UnknownPrice => (
                ErrorCode::ConfigInvalid,
                said,
                "Load AWS's price list of the region with `flowlake cost prices --from FILE`, or set the figure in [cost.overrides].",
            ),
            ErrorKind::InvalidSetting | ErrorKind::InvalidPrices => (
                ErrorCode::ConfigInvalid,
                said,
                "Correct [audit], [budget] or [cost] in flowlake.toml, or the file they name.",
            ),
            ErrorKind::OverBudget => (
                ErrorCode::BudgetExceeded,
                said,
                "Wait until the period is over, or raise the limit in [budget].",
            ),
            ErrorKind::Unshared => (
                ErrorCode::BudgetUnshared,
                said,
                "Let this principal list, read and write the place of [budget.shared], and see that S3 can be reached; `/readyz` on the operators' address says what is wrong.",
            ),
            ErrorKind::Broken => (
                ErrorCode::AuditBroken,
                said,
                "Keep the files as they are and run `flowlake audit verify`.",
            ),
            ErrorKind::Doubled => (
                ErrorCode::AuditBroken,
                said,
                "Name each log once; if two servers began with a copy of one folder, give each a folder of its own.",
            ),
            ErrorKind::Unreadable => (
                ErrorCode::AuditUnreadable,
                said,
                "Check the folder of [audit.log] and its permissions.",
            ),
            ErrorKind::CostExplorer => (
                ErrorCode::CostUnavailable,
                said,
                "Give the process AWS credentials that may ce:GetCostAndUsage, and see that Cost Explorer is enabled; estimates need neither.",
            ),
            ErrorKind::Locked => (
                ErrorCode::AuditUnavailable,
                "another process writes the audit log".to_owned(),
                "Ask the running server instead, or stop it first; to run beside it, use --config with a copy of the configuration whose [audit.log] `directory` is another folder.",
            ),
            ErrorKind::Unshipped => (
                ErrorCode::AuditUnavailable,
                said,
                "Let this principal write the place of [audit.ship] (s3:PutObject); until then no data is returned.",
            ),
            // The path is for the log, not for callers.
            _ => (
                ErrorCode::AuditUnavailable,
                "the audit record could not be written".to_owned(),
                "Make the folder of [audit] writable with free space; until then no data is returned.",
            ),
        };
        Self::new(code, message, advice).with_source(error)
    }
}
