//! What is asked: one S3 action on one resource.

/// A read that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessRequest {
    pub(crate) bucket: String,
    pub(crate) operation: Operation,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// `s3:GetObject` on a key, which may end in `*`.
    Read(String),
    /// `s3:ListBucket` below a prefix.
    List(String),
}

impl AccessRequest {
    /// Reading an object; a key that ends in `*` stands for every object below a prefix.
    pub fn read(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            operation: Operation::Read(key.into()),
        }
    }

    /// Listing the objects below a prefix.
    pub fn list(bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            operation: Operation::List(prefix.into()),
        }
    }

    /// The IAM action.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self.operation {
            Operation::Read(_) => "s3:GetObject",
            Operation::List(_) => "s3:ListBucket",
        }
    }

    /// The IAM resource, in the commercial partition.
    #[must_use]
    pub fn resource(&self) -> String {
        self.resource_in("aws")
    }

    pub(crate) fn resource_in(&self, partition: &str) -> String {
        match &self.operation {
            Operation::Read(key) => format!("arn:{partition}:s3:::{}/{key}", self.bucket),
            Operation::List(_) => format!("arn:{partition}:s3:::{}", self.bucket),
        }
    }
}
