//! What is asked: one action on one resource.

/// A read that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessRequest {
    pub(crate) bucket: String,
    pub(crate) operation: Operation,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// `s3:GetObject` on a key; with a version, `s3:GetObjectVersion`.
    Read {
        key: String,
        version: Option<String>,
    },
    /// `s3:GetObject` on a key that a listing found, of which the answer may be that S3 decides when it is read.
    ReadListed { key: String },
    /// `s3:ListBucket` below a prefix.
    List { prefix: String },
    /// An action that is about no bucket.
    Plain { action: &'static str },
    /// `kms:Decrypt` with the key that encrypts an object.
    Decrypt { key: String, kms_key_arn: String },
}

impl AccessRequest {
    /// Reading an object.
    pub fn read(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            operation: Operation::Read {
                key: key.into(),
                version: None,
            },
        }
    }

    pub(crate) fn read_listed(bucket: &str, key: &str) -> Self {
        Self {
            bucket: bucket.to_owned(),
            operation: Operation::ReadListed {
                key: key.to_owned(),
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
            Operation::Read { version: None, .. } | Operation::ReadListed { .. } => "s3:GetObject",
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
            Operation::Read { key, .. } | Operation::ReadListed { key } => {
                object_arn(partition, &self.bucket, key)
            }
            Operation::List { .. } => format!("arn:{partition}:s3:::{}", self.bucket),
            Operation::Decrypt { kms_key_arn, .. } => kms_key_arn.clone(),
            Operation::Plain { .. } => "*".to_owned(),
        }
    }

    /// The prefix, of a listing.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        match &self.operation {
            Operation::List { prefix } => Some(prefix),
            _ => None,
        }
    }

    /// The object that the request is about.
    pub(crate) fn object(&self) -> Option<&str> {
        match &self.operation {
            Operation::Read { key, .. }
            | Operation::ReadListed { key }
            | Operation::Decrypt { key, .. } => Some(key),
            Operation::List { .. } | Operation::Plain { .. } => None,
        }
    }
}

/// The resource of an object, or of all that a pattern of IAM names.
pub(crate) fn object_arn(partition: &str, bucket: &str, key: &str) -> String {
    format!("arn:{partition}:s3:::{bucket}/{key}")
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
