//! What is asked: one action on one resource.

/// A read that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessRequest {
    pub(crate) bucket: String,
    pub(crate) operation: Operation,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// `s3:GetObject` on a key, which may end in `*`; with a version, `s3:GetObjectVersion`.
    Read {
        key: String,
        version: Option<String>,
    },
    /// `s3:ListBucket` below a prefix.
    List { prefix: String },
    /// An action that is about no bucket.
    Plain { action: &'static str },
    /// `kms:Decrypt` with the key that encrypts an object.
    Decrypt { key: String, kms_key_arn: String },
}

impl AccessRequest {
    /// Reading an object; a key that ends in `*` stands for every object below a prefix.
    pub fn read(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            operation: Operation::Read {
                key: key.into(),
                version: None,
            },
        }
    }

    /// Reading one version of an object by its id.
    pub fn read_version(
        bucket: impl Into<String>,
        key: impl Into<String>,
        version: impl Into<String>,
    ) -> Self {
        Self {
            bucket: bucket.into(),
            operation: Operation::Read {
                key: key.into(),
                version: Some(version.into()),
            },
        }
    }

    /// Listing the objects below a prefix.
    pub fn list(bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            operation: Operation::List {
                prefix: prefix.into(),
            },
        }
    }

    /// Decrypting an object whose metadata says `aws:kms`, with the ARN of the key that it names.
    pub fn decrypt(
        bucket: impl Into<String>,
        key: impl Into<String>,
        kms_key_arn: impl Into<String>,
    ) -> Self {
        Self {
            bucket: bucket.into(),
            operation: Operation::Decrypt {
                key: key.into(),
                kms_key_arn: kms_key_arn.into(),
            },
        }
    }

    /// Asking Cost Explorer what was spent.
    #[must_use]
    pub fn cost_explorer() -> Self {
        Self {
            bucket: String::new(),
            operation: Operation::Plain {
                action: "ce:GetCostAndUsage",
            },
        }
    }

    /// The IAM action.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match &self.operation {
            Operation::Read { version: None, .. } => "s3:GetObject",
            Operation::Read {
                version: Some(_), ..
            } => "s3:GetObjectVersion",
            Operation::List { .. } => "s3:ListBucket",
            Operation::Decrypt { .. } => "kms:Decrypt",
            Operation::Plain { action } => action,
        }
    }

    /// The IAM resource, in the commercial partition.
    #[must_use]
    pub fn resource(&self) -> String {
        self.resource_in("aws")
    }

    /// The IAM resource in a partition such as `aws-us-gov`.
    #[must_use]
    pub fn resource_in(&self, partition: &str) -> String {
        match &self.operation {
            Operation::Read { key, .. } => format!("arn:{partition}:s3:::{}/{key}", self.bucket),
            Operation::List { .. } => format!("arn:{partition}:s3:::{}", self.bucket),
            Operation::Decrypt { kms_key_arn, .. } => kms_key_arn.clone(),
            Operation::Plain { .. } => "*".to_owned(),
        }
    }

    /// Whether it stands for every object below a prefix.
    pub(crate) fn is_wildcard(&self) -> bool {
        matches!(&self.operation, Operation::Read { key, .. } if key.ends_with('*'))
    }

    /// The object, when the request is about a single one.
    pub(crate) fn object(&self) -> Option<&str> {
        match &self.operation {
            Operation::Read { key, .. } | Operation::Decrypt { key, .. } if !key.ends_with('*') => {
                Some(key)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AccessRequest;

    #[test]
    fn each_operation_has_its_action_and_resource() {
        let kms = "arn:aws:kms:eu-west-1:123456789012:key/0123";
        for (request, action, resource) in [
            (
                AccessRequest::read("b", "k"),
                "s3:GetObject",
                "arn:aws:s3:::b/k",
            ),
            (
                AccessRequest::read_version("b", "k", "7"),
                "s3:GetObjectVersion",
                "arn:aws:s3:::b/k",
            ),
            (
                AccessRequest::list("b", "p/"),
                "s3:ListBucket",
                "arn:aws:s3:::b",
            ),
            (AccessRequest::decrypt("b", "k", kms), "kms:Decrypt", kms),
            (AccessRequest::cost_explorer(), "ce:GetCostAndUsage", "*"),
        ] {
            assert_eq!(
                (request.action(), request.resource().as_str()),
                (action, resource)
            );
        }
        let request = AccessRequest::read("b", "k");
        assert_eq!(request.resource_in("aws-us-gov"), "arn:aws-us-gov:s3:::b/k");
    }
}
