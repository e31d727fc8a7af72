//! `[audit]`: where records go, and how they are kept from being changed.

use std::{path::PathBuf, time::Duration};

use flowlake_cost_audit::{
    AuditSettings,
    audit::{SealingKey, ShipSettings},
};
use object_store::path::Path as ObjectPath;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{ActionError, Environment, ErrorCode, SecretSource};

/// `[audit]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// The log itself.
    pub log: AuditSettings,
    /// The name of this server, where several have the same configuration: letters, digits, `-`, `_` and `.`. Each record has it,
    /// and the log lies in a folder of this name below `directory`. `flowlake-server --node` overrides it.
    pub node: Option<String>,
    /// The key that sensitive parameters are hashed with, so that equal values can be recognised and none can be read.
    ///
    /// Without one, a random key is made at each start: hashes then compare only within one run.
    pub hash_key: Option<SecretSource>,
    /// The Ed25519 key that finished segments are signed with: 64 hexadecimal digits, as `openssl rand -hex 32` makes them.
    ///
    /// Without one, seals are not signed, and everybody who may write to the folder could replace the whole log.
    pub seal_key: Option<SecretSource>,
    /// Where finished segments are copied to.
    pub ship: Option<ShipConfig>,
    /// Whether the log is the first one below its folder, by number, that no other process writes.
    #[serde(skip)]
    pub(crate) in_free_folder: bool,
    /// Whether a log beside this one is written while another process writes this one.
    #[serde(skip)]
    pub(crate) or_beside: bool,
}

/// `[audit.ship]`: a bucket that finished segments are copied to, with their seals.
///
/// A copy that fails is tried again, reported by `/readyz` and `/metrics`, and stops nothing, unless `before_answer` is set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShipConfig {
    /// `s3://bucket/prefix`; the log's id, from `audit.id` in its folder, comes below it. The principal needs `s3:PutObject` there, and `s3:GetObject` to recognise what a crash left half done.
    pub uri: String,
    /// How often to look for finished segments, such as `30s`.
    #[serde(with = "humantime_serde", default = "check_every")]
    #[schemars(with = "String")]
    pub check_every: Duration,
    /// The longest wait between two tries after failures, such as `5m`.
    #[serde(with = "humantime_serde", default = "longest_wait")]
    #[schemars(with = "String")]
    pub longest_wait: Duration,
    /// How long after it was finished a segment is deleted here, such as `400days`, once the same content lies in the bucket; never
    /// when left out. Nothing of this month or the last is deleted, since budgets are read from it.
    #[serde(with = "humantime_serde", default)]
    #[schemars(with = "Option<String>")]
    pub delete_after: Option<Duration>,
    /// Whether every record is sealed and copied before its answer is given: for a machine whose disk does not outlive it, such as
    /// an execution environment of AWS Lambda. It costs two PUT requests an attempt, and their time; a copy that fails refuses the
    /// answer with `audit.unavailable`.
    #[serde(default)]
    pub before_answer: bool,
    /// Whether only the last segment is kept here once it is copied: the folder goes with its machine.
    #[serde(skip)]
    pub(crate) keep_only_last: bool,
}

fn check_every() -> Duration {
    ShipSettings::default().check_every
}

fn longest_wait() -> Duration {
    ShipSettings::default().longest_wait
}

impl AuditConfig {
    /// The folder of this process's own log.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] for a `node` that cannot be the name of a folder.
    pub fn own_directory(&self) -> Result<PathBuf, ActionError> {
        let directory = &self.log.directory;
        let Some(node) = &self.node else {
            return Ok(directory.clone());
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name =
            (1..=64).contains(&node.len()) && !node.starts_with('.') && node.bytes().all(is_plain);
        if !is_name {
            return Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                "the name of the node is not one of 1 to 64 letters, digits, `-`, `_` and `.`",
                "Correct `node` in [audit], or --node.",
            ));
        }
        Ok(directory.join(node))
    }

    /// The key that seals are signed with, when one is configured.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when it is missing or no key; the message does not repeat it.
    pub fn sealing_key(
        &self,
        environment: &dyn Environment,
    ) -> Result<Option<SealingKey>, ActionError> {
        let Some(source) = &self.seal_key else {
            return Ok(None);
        };
        let read = source.read(environment);
        let key = read.and_then(|key| Ok(SealingKey::from_hex(key.expose())?));
        key.map(Some)
            .map_err(|error| error.at_key(["audit", "seal_key"]))
    }
}

impl ShipConfig {
    /// Bucket and prefix.
    pub(crate) fn place(&self) -> Result<(String, ObjectPath), ActionError> {
        s3_place("[audit.ship]", &self.uri).map_err(|error| error.at_key(["audit", "ship", "uri"]))
    }

    pub(crate) const fn settings(&self) -> ShipSettings {
        ShipSettings {
            check_every: self.check_every,
            longest_wait: self.longest_wait,
            delete_after: self.delete_after,
            keep_only_last: self.keep_only_last,
        }
    }
}

/// The bucket and the prefix that a uri names, which `place` has.
pub(crate) fn s3_place(place: &str, uri: &str) -> Result<(String, ObjectPath), ActionError> {
    let invalid = || {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("`{uri}` in {place} is no place on S3"),
            "Write `uri = \"s3://BUCKET/PREFIX\"`.",
        )
    };
    let url = Url::parse(uri).map_err(|error| invalid().with_source(error))?;
    let bucket = url.host_str().filter(|_| url.scheme() == "s3");
    let bucket = bucket.ok_or_else(invalid)?.to_owned();
    let prefix =
        ObjectPath::from_url_path(url.path()).map_err(|error| invalid().with_source(error))?;
    Ok((bucket, prefix))
}

#[cfg(test)]
mod tests {
    use super::{AuditConfig, ShipConfig};
    use crate::ErrorCode;

    fn ship(uri: &str) -> ShipConfig {
        toml::from_str(&format!("uri = \"{uri}\"")).unwrap()
    }

    #[test]
    fn a_node_has_a_folder_of_its_own() {
        let own = |text: &str| {
            let audit: AuditConfig = toml::from_str(text).unwrap();
            audit.own_directory()
        };
        assert_eq!(own("").unwrap().to_str(), Some("audit"));
        assert_eq!(
            own("node = \"eu-1.b\"").unwrap().to_str(),
            Some("audit/eu-1.b")
        );
        for wrong in ["", ".", "..", "a/b", "a b", &"a".repeat(65)] {
            let refused = own(&format!("node = \"{wrong}\"")).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::ConfigInvalid, "{wrong}");
        }
    }

    #[test]
    fn a_place_is_a_bucket_and_a_prefix() {
        let (bucket, prefix) = ship("s3://audit-archive/flowlake/eu").place().unwrap();
        assert_eq!(
            (bucket.as_str(), prefix.as_ref()),
            ("audit-archive", "flowlake/eu")
        );
        assert_eq!(ship("s3://audit-archive").place().unwrap().1.as_ref(), "");
        for wrong in ["audit-archive", "https://audit-archive/x", "s3:///x"] {
            assert_eq!(
                ship(wrong).place().unwrap_err().code(),
                ErrorCode::ConfigInvalid,
                "{wrong}"
            );
        }
    }
}
