//! `[aws]` and `[access]`.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

/// Credentials, region and endpoints. What is left out comes from the AWS SDK's usual chain: environment, profile, SSO,
/// web identity, container and instance roles.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsSettings {
    /// A profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// Another file than `~/.aws/config`, by its absolute path.
    pub config_file: Option<PathBuf>,
    /// Another file than `~/.aws/credentials`, by its absolute path.
    pub credentials_file: Option<PathBuf>,
    /// The region.
    pub region: Option<String>,
    /// Another endpoint for every service, for stand-ins and private links.
    pub endpoint_url: Option<String>,
    /// Another endpoint for S3 only.
    pub s3_endpoint_url: Option<String>,
    /// Whether buckets go into the path instead of the host name; for S3 stand-ins.
    pub path_style: bool,
    /// Whether to use FIPS endpoints.
    pub use_fips: bool,
    /// Whether to use dual-stack (IPv4 and IPv6) endpoints.
    pub use_dual_stack: bool,
    /// A role to assume with the credentials found.
    pub assume_role: Option<AssumeRoleSettings>,
    /// Fixed credentials, for demos and tests; never from a file.
    #[serde(skip)]
    pub credentials: Option<StaticCredentials>,
}

impl AwsSettings {
    /// The tags of the session that the settings make, which policies see as the principal's.
    #[must_use]
    pub fn session_tags(&self) -> BTreeMap<String, String> {
        let role = self.assume_role.as_ref();
        role.map(|role| role.session_tags.clone())
            .unwrap_or_default()
    }
}

/// A role to assume.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssumeRoleSettings {
    /// The role's ARN.
    pub role_arn: String,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// The session's name, as `CloudTrail` shows it; `flowlake` when left out.
    pub session_name: Option<String>,
    /// How long a session lasts, such as `1h`: 15 minutes to 12 hours; an hour when left out. It is renewed before it ends.
    #[serde(default, with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub session_length: Option<Duration>,
    /// Session tags, seen by policies as `aws:PrincipalTag/KEY`; the role's trust policy must allow `sts:TagSession`.
    #[serde(default)]
    pub session_tags: BTreeMap<String, String>,
}

/// An access key given in the program itself.
#[derive(Clone)]
pub struct StaticCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

impl StaticCredentials {
    /// An access key.
    #[must_use]
    pub const fn new(access_key_id: String, secret_access_key: String) -> Self {
        Self {
            access_key_id,
            secret_access_key,
        }
    }
}

impl fmt::Debug for StaticCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StaticCredentials")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"******")
            .finish()
    }
}

/// How it is decided whether an object may be read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessSettings {
    /// What a decision means.
    pub mode: AccessMode,
    /// How long a decision is kept, such as `5m`. A changed policy takes effect after this time at the latest.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub ttl: Duration,
    /// How many decisions are kept.
    pub max_entries: u64,
    /// What cannot be asked of AWS, by bucket.
    pub buckets: BTreeMap<String, BucketSettings>,
}

/// What is known of a bucket of another account, whose policy only that account can read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BucketSettings {
    /// The account that owns it, twelve digits.
    pub owner: Option<String>,
    /// Its bucket policy as JSON text, as the owner told it; used in place of asking S3.
    pub policy: Option<String>,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            mode: AccessMode::default(),
            ttl: Duration::from_secs(300),
            max_entries: 10_000,
            buckets: BTreeMap::new(),
        }
    }
}

/// What a decision means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    /// Read only what the simulation allows; a simulation that is itself denied is an error.
    #[default]
    Enforce,
    /// Simulate and report, but let S3 alone decide.
    Advise,
    /// Where simulating is not permitted: a signed HEAD and a GET of one byte decide.
    Probe,
}
