//! The small file that says who exists and what they may do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};

/// Who exists and what they may do: the embedded IAM's whole state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IamDocument {
    /// Users, roles and other principals.
    pub identities: Vec<Identity>,
    /// Groups by name; identities name the groups that they are in.
    pub groups: BTreeMap<String, Group>,
    /// Bucket policies and owners, by bucket.
    pub buckets: BTreeMap<String, Bucket>,
    /// Service control policies by name. Each must allow; none means no organisation.
    pub service_control_policies: BTreeMap<String, Value>,
}

/// One principal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// A user (`arn:aws:iam::123456789012:user/ada`), a role, `…:root`, or a federated user
    /// (`arn:aws:sts::123456789012:federated-user/bob`).
    ///
    /// The access key of a role acts as `arn:aws:sts::…:assumed-role/NAME/flowlake`.
    pub arn: String,
    /// Its access key; left out, one is derived from the ARN.
    pub access_key: Option<AccessKey>,
    /// Its policies by name.
    pub policies: BTreeMap<String, Value>,
    /// Names of the groups that it is in.
    pub groups: Vec<String>,
    /// Its permissions boundary.
    pub boundary: Option<Value>,
    /// A role's trust policy: who may assume it.
    pub trust: Option<Value>,
    /// Its tags, seen by conditions as `aws:PrincipalTag/KEY`.
    pub tags: BTreeMap<String, String>,
}

/// Policies that several users share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    /// The group's policies by name.
    pub policies: BTreeMap<String, Value>,
}

/// What is attached to a bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bucket {
    /// The owner's account; left out, every caller's own account owns it.
    pub owner: Option<String>,
    /// The bucket policy.
    pub policy: Option<Value>,
    /// The region; requests signed for another are redirected. Left out, any region will do.
    pub region: Option<String>,
}

/// An access key of the stand-ins. It opens nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// The access key id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AccessKey")
            .field("id", &self.id)
            .field("secret", &"******")
            .finish()
    }
}

impl AccessKey {
    /// The key that a principal without one of its own gets: a function of the ARN alone.
    pub(crate) fn derived(arn: &str) -> Self {
        let digest = Sha256::digest(format!("flowlake-dev-stack:{arn}"));
        let text = hex::encode(digest);
        Self {
            id: format!("AKIA{}", text[..16].to_uppercase()),
            secret: text[16..56].to_owned(),
        }
    }
}

impl IamDocument {
    /// One user, `arn:aws:iam::123456789012:user/flowlake`, who may do everything.
    #[must_use]
    pub fn single_administrator() -> Self {
        Self::default().with_identity(
            Identity::new("arn:aws:iam::123456789012:user/flowlake").with_policy(
                "Everything",
                json!({
                    "Version": "2012-10-17",
                    "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }],
                }),
            ),
        )
    }

    /// Reads a document from JSON text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSetting`] when it is not such a document.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|source| {
            Error::new(
                ErrorKind::InvalidSetting,
                "the IAM document cannot be read, compare it with the example in the README",
            )
            .with_source(source)
        })
    }

    /// Reads a document from a JSON file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Folder`] when the file cannot be read, [`ErrorKind::InvalidSetting`] when it
    /// is not such a document.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| {
            Error::new(
                ErrorKind::Folder,
                format!("the IAM document {} cannot be read", path.display()),
            )
            .with_source(source)
        })?;
        Self::from_json(&text)
    }

    /// Adds a principal.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identities.push(identity);
        self
    }

    /// Sets a bucket's policy.
    #[must_use]
    pub fn with_bucket_policy(mut self, bucket: &str, policy: Value) -> Self {
        self.buckets.entry(bucket.to_owned()).or_default().policy = Some(policy);
        self
    }

    /// Sets the account that owns a bucket.
    #[must_use]
    pub fn with_bucket_owner(mut self, bucket: &str, account: &str) -> Self {
        self.buckets.entry(bucket.to_owned()).or_default().owner = Some(account.to_owned());
        self
    }

    /// Adds a service control policy.
    #[must_use]
    pub fn with_service_control_policy(mut self, name: &str, policy: Value) -> Self {
        self.service_control_policies
            .insert(name.to_owned(), policy);
        self
    }
}

impl Identity {
    /// A principal without any rights.
    #[must_use]
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            ..Self::default()
        }
    }

    /// Sets the access key.
    #[must_use]
    pub fn with_access_key(mut self, id: &str, secret: &str) -> Self {
        self.access_key = Some(AccessKey {
            id: id.to_owned(),
            secret: secret.to_owned(),
        });
        self
    }

    /// Adds a policy.
    #[must_use]
    pub fn with_policy(mut self, name: &str, document: Value) -> Self {
        self.policies.insert(name.to_owned(), document);
        self
    }

    /// Sets the permissions boundary.
    #[must_use]
    pub fn with_boundary(mut self, document: Value) -> Self {
        self.boundary = Some(document);
        self
    }

    /// Sets a role's trust policy.
    #[must_use]
    pub fn with_trust(mut self, document: Value) -> Self {
        self.trust = Some(document);
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn with_tag(mut self, key: &str, value: &str) -> Self {
        self.tags.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The key that this principal signs with.
    #[must_use]
    pub fn key(&self) -> AccessKey {
        self.access_key
            .clone()
            .unwrap_or_else(|| AccessKey::derived(&self.arn))
    }
}
