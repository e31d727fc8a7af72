//! `flowlake doctor`: one line per thing that must be right, from the credentials to each object, each with its fix.

use std::{collections::BTreeSet, fmt, future::Future, sync::Arc, time::Duration};

use aws_sdk_s3::error::ProvideErrorMetadata;
use flowlake_aws_access::{AccessMode, AccessRequest, Decision, PrincipalKind};
use serde::Serialize;
use serde_json::{Map, Value};

use super::check::{ActionCheck, TableCheck, check};
use crate::{
    ActionError, ErrorCode,
    access::{denied, denied_code},
    services::Services,
};

/// Longest time that one line may take.
const LINE_LIMIT: Duration = Duration::from_secs(20);

/// How far the machine's clock may be from AWS's, in seconds. AWS refuses signatures that are five minutes old.
const MAX_SKEW_SECONDS: i64 = 60;

/// What `flowlake doctor` looks at beyond the usual.
#[derive(Debug, Clone, Default)]
pub struct DoctorOptions {
    /// Values for parameters in the locations of actions; defaults otherwise.
    pub params: Map<String, Value>,
    /// Whether Cost Explorer must be usable: otherwise a missing right is reported and is not a failure.
    pub cost_explorer: bool,
}

/// Everything that was looked at, in order.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// Whether no line failed.
    pub healthy: bool,
    /// One line each.
    pub findings: Vec<Finding>,
}

/// One line.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What kind of thing it is about.
    pub topic: Topic,
    /// What was looked at, such as a bucket's name.
    pub subject: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// The stable code of what is wrong.
    #[serde(serialize_with = "serialize_code")]
    pub code: Option<ErrorCode>,
    /// What to do about it.
    pub fix: Option<String>,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// `flowlake.toml` and the action files.
    Configuration,
    /// The AWS credentials.
    Credentials,
    /// The machine's clock.
    Clock,
    /// Who the credentials stand for.
    Principal,
    /// The AWS region.
    Region,
    /// A bucket.
    Bucket,
    /// The objects and the SQL of an action.
    Action,
    /// What IAM says about a read.
    Iam,
    /// A key of KMS.
    Kms,
    /// The login to Genesys Cloud.
    Genesys,
    /// Cost Explorer.
    CostExplorer,
}

/// How one line came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is right.
    Ok,
    /// It is wrong and has to be fixed.
    Failed,
    /// It was not looked at, or is not needed.
    Skipped,
}

fn serialize_code<S: serde::Serializer>(
    code: &Option<ErrorCode>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    code.map(ErrorCode::as_str).serialize(serializer)
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Configuration => "configuration",
            Self::Credentials => "credentials",
            Self::Clock => "clock",
            Self::Principal => "principal",
            Self::Region => "region",
            Self::Bucket => "bucket",
            Self::Action => "action",
            Self::Iam => "IAM",
            Self::Kms => "KMS",
            Self::Genesys => "Genesys",
            Self::CostExplorer => "Cost Explorer",
        })
    }
}

impl Diagnosis {
    /// The diagnosis of a configuration that cannot even be read.
    #[must_use]
    pub fn of_configuration(error: &ActionError) -> Self {
        Self::from(vec![Finding::failed(
            Topic::Configuration,
            "flowlake.toml",
            error,
        )])
    }

    /// The exit code of the first line that failed.
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        let failed = |finding: &&Finding| finding.verdict == Verdict::Failed;
        let first = self.findings.iter().find(failed)?;
        Some(first.code.map_or(2, ErrorCode::exit_code))
    }
}

impl Diagnosis {
    /// Adds lines about what is not looked at here.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        let failed = |finding: &Finding| finding.verdict == Verdict::Failed;
        self.healthy = !self.findings.iter().any(failed);
    }
}

impl From<Vec<Finding>> for Diagnosis {
    fn from(findings: Vec<Finding>) -> Self {
        let healthy = findings
            .iter()
            .all(|finding| finding.verdict != Verdict::Failed);
        Self { healthy, findings }
    }
}

impl Finding {
    fn ok(topic: Topic, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            topic,
            subject: subject.into(),
            verdict: Verdict::Ok,
            detail: detail.into(),
            code: None,
            fix: None,
        }
    }

    fn skipped(topic: Topic, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Skipped,
            ..Self::ok(topic, subject, detail)
        }
    }

    fn failed(topic: Topic, subject: impl Into<String>, error: &ActionError) -> Self {
        Self {
            verdict: Verdict::Failed,
            code: Some(error.code()),
            fix: Some(error.advice().to_owned()),
            ..Self::ok(topic, subject, error.message())
        }
    }
}

/// See [`crate::Inspector::diagnose`].
pub(super) async fn diagnose(services: &Services, options: &DoctorOptions) -> Diagnosis {
    let doctor = Doctor { services };
    let count = services.actions.len();
    let mut findings = vec![Finding::ok(
        Topic::Configuration,
        "flowlake.toml",
        format!("{count} actions"),
    )];
    let broken = services.broken.iter();
    findings.extend(broken.map(|(name, error)| Finding::failed(Topic::Action, name, error)));
    let (caller, are_usable) = doctor.caller_lines().await;
    findings.extend(caller);
    findings.push(doctor.region_line());
    if are_usable {
        findings.push(limited(Topic::Principal, "who we are", doctor.principal_line()).await);
        findings.extend(action_lines(services, options).await);
        let line = doctor.cost_explorer_line(options.cost_explorer);
        findings.push(limited(Topic::CostExplorer, "ce:GetCostAndUsage", line).await);
    } else {
        let needs = "needs AWS credentials that are accepted";
        findings.push(Finding::skipped(Topic::Principal, "who we are", needs));
        findings.extend(
            services
                .actions
                .keys()
                .map(|name| Finding::skipped(Topic::Action, name.clone(), needs)),
        );
        findings.push(Finding::skipped(
            Topic::CostExplorer,
            "ce:GetCostAndUsage",
            needs,
        ));
    }
    findings.push(limited(Topic::Genesys, "login", doctor.genesys_line()).await);
    Diagnosis::from(findings)
}

/// For each action its objects with what IAM says of them, and before that the buckets of all.
async fn action_lines(services: &Services, options: &DoctorOptions) -> Vec<Finding> {
    let doctor = Doctor { services };
    let mut buckets = BTreeSet::new();
    let mut lines = Vec::new();
    for (name, action) in &services.actions {
        let declared = &action.definition().params;
        let params = options.params.iter();
        let params = params
            .filter(|(param, _)| declared.contains_key(*param))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let check = tokio::time::timeout(LINE_LIMIT, Box::pin(check(services, name, &params)));
        let found = match check.await {
            Ok(Ok(check)) => check,
            Ok(Err(error)) => {
                lines.push(Finding::failed(Topic::Action, name.clone(), &error));
                continue;
            }
            Err(_) => {
                lines.push(Finding::failed(Topic::Action, name.clone(), &too_long()));
                continue;
            }
        };
        if let Ok(tables) = &found.tables {
            buckets.extend(tables.iter().map(|table| table.bucket.clone()));
        }
        lines.extend(lines_of(&found));
    }
    let mut findings = Vec::new();
    for bucket in buckets {
        let line = doctor.bucket_line(&bucket);
        findings.push(limited(Topic::Bucket, &bucket, line).await);
    }
    findings.extend(lines);
    findings
}

/// Asks about one thing after the other.
#[derive(Debug, Clone, Copy)]
struct Doctor<'a> {
    services: &'a Services,
}

impl Doctor<'_> {
    /// Credentials and clock, from one answer of STS; and whether going on makes sense.
    async fn caller_lines(&self) -> (Vec<Finding>, bool) {
        let check = tokio::time::timeout(LINE_LIMIT, self.services.access.check_caller()).await;
        let Ok(check) = check else {
            let line = Finding::failed(Topic::Credentials, "sts:GetCallerIdentity", &too_long());
            return (vec![line], false);
        };
        let server = check.server_unix_seconds;
        let (credentials, are_usable) = match check.arn {
            Ok(arn) => (
                Finding::ok(Topic::Credentials, "sts:GetCallerIdentity", arn),
                true,
            ),
            Err(error) => {
                let error = ActionError::from(error);
                let line = Finding::failed(Topic::Credentials, "sts:GetCallerIdentity", &error);
                (line, false)
            }
        };
        (vec![credentials, self.clock_line(server)], are_usable)
    }

    fn clock_line(&self, server_unix_seconds: Option<i64>) -> Finding {
        const SUBJECT: &str = "this machine";
        let Some(server) = server_unix_seconds else {
            return Finding::skipped(Topic::Clock, SUBJECT, "AWS did not tell the time");
        };
        let off = self.services.clock.now().timestamp() - server;
        let how = match off {
            0 => "as AWS's".to_owned(),
            1.. => format!("{off} s ahead of AWS's"),
            _ => format!("{} s behind AWS's", -off),
        };
        if off.abs() <= MAX_SKEW_SECONDS {
            return Finding::ok(Topic::Clock, SUBJECT, how);
        }
        let error = ActionError::new(
            ErrorCode::AwsCredentials,
            how,
            "Set this machine's clock, and let NTP keep it (`timedatectl set-ntp true`): AWS refuses signatures whose time is wrong.",
        );
        Finding::failed(Topic::Clock, SUBJECT, &error)
    }

    fn region_line(&self) -> Finding {
        match self.services.s3.client().config().region() {
            Some(region) => Finding::ok(Topic::Region, "AWS", region.as_ref()),
            None => Finding::failed(
                Topic::Region,
                "AWS",
                &ActionError::new(
                    ErrorCode::ConfigInvalid,
                    "no region is configured",
                    "Set `region` in [aws] of flowlake.toml, or AWS_REGION.",
                ),
            ),
        }
    }

    async fn principal_line(&self) -> Finding {
        const SUBJECT: &str = "who we are";
        let identity = match self.services.access.identity().await {
            Ok(identity) => identity,
            Err(error) => return Finding::failed(Topic::Principal, SUBJECT, &error.into()),
        };
        let kind = match identity.kind {
            PrincipalKind::Root => "root",
            PrincipalKind::User => "user",
            PrincipalKind::AssumedRole => "role",
            PrincipalKind::SsoRole => "Identity Center role",
            PrincipalKind::FederatedUser => "federated user",
            PrincipalKind::Unknown => "nothing answers as the STS of AWS: the principal is",
        };
        match &identity.policy_source_arn {
            Some(arn) => Finding::ok(Topic::Principal, SUBJECT, format!("{kind} {arn}")),
            None if self.services.access.mode() != AccessMode::Enforce => Finding::ok(
                Topic::Principal,
                SUBJECT,
                format!("{kind} {}", identity.arn),
            ),
            None => {
                let error = ActionError::new(
                    ErrorCode::AccessDenied,
                    format!("IAM cannot simulate the policies of a {kind}"),
                    "Run flowlake as an IAM user or role, or set `mode = \"probe\"` in [access].",
                );
                Finding::failed(Topic::Principal, SUBJECT, &error)
            }
        }
    }

    /// Whether a bucket is there, in the region that requests are signed for.
    async fn bucket_line(&self, bucket: &str) -> Finding {
        let client = self.services.s3.client();
        let region = client.config().region().map_or("", AsRef::as_ref);
        let error = match client.head_bucket().bucket(bucket).send().await {
            Ok(head) => {
                let region = head.bucket_region().unwrap_or(region);
                return Finding::ok(Topic::Bucket, bucket, format!("in {region}"));
            }
            Err(error) => error,
        };
        let response = error.raw_response();
        let status = response.map(|response| response.status().as_u16());
        let elsewhere = response
            .and_then(|response| response.headers().get("x-amz-bucket-region"))
            .filter(|actual| *actual != region)
            .map(str::to_owned);
        let error = match (status, elsewhere) {
            (_, Some(actual)) => ActionError::new(
                ErrorCode::S3WrongRegion,
                format!("the bucket is in {actual}, and requests are signed for {region}"),
                format!("Set `region = \"{actual}\"` in [aws] of flowlake.toml."),
            ),
            (Some(404), None) => ActionError::new(
                ErrorCode::S3NoSuchBucket,
                "there is no such bucket",
                "Correct the bucket's name in the action's `uri`, or make the bucket.",
            ),
            // Without s3:ListBucket a bucket does not tell whether it is there. The objects do.
            (Some(403), None) => {
                let detail = "may not be listed (s3:ListBucket), which only prefixes need";
                return Finding::ok(Topic::Bucket, bucket, detail);
            }
            _ => ActionError::new(
                ErrorCode::S3Unavailable,
                format!(
                    "S3 did not answer ({})",
                    error.code().unwrap_or("no answer")
                ),
                "Check the network, and the endpoints in [aws] of flowlake.toml.",
            ),
        };
        Finding::failed(Topic::Bucket, bucket, &error)
    }

    async fn cost_explorer_line(&self, is_needed: bool) -> Finding {
        const SUBJECT: &str = "ce:GetCostAndUsage";
        let mode = self.services.access.mode();
        if mode == AccessMode::Probe {
            let detail = "not asked: each call is charged 0.01 USD, and the mode is `probe`";
            return Finding::skipped(Topic::CostExplorer, SUBJECT, detail);
        }
        let error = match self
            .services
            .access
            .check(&AccessRequest::cost_explorer())
            .await
        {
            Ok(decision) if decision.effect == flowlake_aws_access::Effect::Allowed => {
                return Finding::ok(Topic::CostExplorer, SUBJECT, "allowed");
            }
            Ok(decision) => ActionError::new(
                ErrorCode::AccessDenied,
                decision.reason.clone(),
                decision.advice.clone().unwrap_or_default(),
            ),
            Err(error) => error.into(),
        };
        let line = Finding::failed(Topic::CostExplorer, SUBJECT, &error);
        if is_needed {
            return line;
        }
        Finding {
            verdict: Verdict::Skipped,
            detail: format!("{}; only reports of actual costs need it", line.detail),
            ..line
        }
    }

    async fn genesys_line(&self) -> Finding {
        const SUBJECT: &str = "login";
        let needs_token = |action: &&Arc<crate::Action>| action.definition().genesys_token;
        let Some(source) = &self.services.genesys else {
            return match self.services.actions.values().find(needs_token) {
                None => Finding::skipped(Topic::Genesys, SUBJECT, "[genesys] is not configured"),
                Some(action) => {
                    let error = ActionError::new(
                        ErrorCode::ConfigInvalid,
                        format!(
                            "action `{}` needs a Genesys Cloud token, and [genesys] is not configured",
                            action.name()
                        ),
                        "Add [genesys] with region, client_id and client_secret to flowlake.toml.",
                    );
                    Finding::failed(Topic::Genesys, SUBJECT, &error)
                }
            };
        };
        match source.token().await {
            Ok(_token) => Finding::ok(Topic::Genesys, SUBJECT, "a token was given"),
            Err(error) => Finding::failed(Topic::Genesys, SUBJECT, &error.into()),
        }
    }
}

/// The lines of one action: IAM's answers, keys, and whether objects and SQL can be used.
fn lines_of(check: &ActionCheck) -> Vec<Finding> {
    let tables = match &check.tables {
        Ok(tables) => tables,
        Err(error) => return vec![Finding::failed(Topic::Action, check.action.clone(), error)],
    };
    let mut lines: Vec<_> = tables
        .iter()
        .flat_map(|table| table_lines(&check.action, table))
        .collect();
    match &check.columns {
        Some(Ok(columns)) => {
            let columns = columns.columns.iter();
            let names: Vec<_> = columns.map(|column| column.name.as_str()).collect();
            let detail = format!("answers {}", names.join(", "));
            lines.push(Finding::ok(Topic::Action, check.action.clone(), detail));
        }
        Some(Err(error)) => {
            lines.push(Finding::failed(Topic::Action, check.action.clone(), error));
        }
        None => {}
    }
    lines
}

fn table_lines(action: &str, table: &TableCheck) -> Vec<Finding> {
    let decided = |decision: &Arc<Decision>| {
        let topic = match denied_code(decision) {
            ErrorCode::S3KmsDenied => Topic::Kms,
            _ => Topic::Iam,
        };
        let subject = format!("{} {}", decision.action, decision.resource);
        if !decision.allowed {
            return Finding::failed(topic, subject, &denied(decision));
        }
        let said =
            std::iter::once(decision.effect.to_string()).chain(decision.notes.iter().cloned());
        Finding::ok(topic, subject, said.collect::<Vec<_>>().join("; "))
    };
    let mut lines: Vec<_> = table.decisions.iter().map(decided).collect();
    let subject = format!("{action}: {}", table.location);
    let was_reported = lines.iter().any(|line| line.verdict == Verdict::Failed);
    match (&table.error, table.size) {
        // IAM's own line has said it, with the fix.
        (Some(_), _) if was_reported => {}
        (Some(error), _) => lines.push(Finding::failed(Topic::Action, subject, error)),
        (None, Some(size)) => {
            lines.push(Finding::ok(Topic::Action, subject, format!("{size} bytes")))
        }
        (None, None) => {
            let detail = table.warning.clone();
            let detail = detail.unwrap_or_else(|| "a prefix".to_owned());
            lines.push(Finding::ok(Topic::Action, subject, detail));
        }
    }
    lines
}

fn too_long() -> ActionError {
    ActionError::new(
        ErrorCode::AccessUnavailable,
        format!("no answer within {} s", LINE_LIMIT.as_secs()),
        "Check the network, and the endpoints in flowlake.toml.",
    )
}

/// A check that fails when it takes too long.
async fn limited(topic: Topic, subject: &str, line: impl Future<Output = Finding>) -> Finding {
    let line = tokio::time::timeout(LINE_LIMIT, Box::pin(line)).await;
    line.unwrap_or_else(|_| Finding::failed(topic, subject, &too_long()))
}
