//! An object of S3 as the place of an answer.

use std::{fmt, str::FromStr};

use object_store::path::Path;

use crate::{ActionError, ErrorCode};

/// An object that an answer is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputObject {
    pub(crate) bucket: String,
    pub(crate) key: Path,
}

impl FromStr for OutputObject {
    type Err = ActionError;

    /// Reads `s3://bucket/key`.
    fn from_str(text: &str) -> Result<Self, ActionError> {
        let parts = text
            .strip_prefix("s3://")
            .and_then(|text| text.split_once('/'));
        let object = parts.and_then(|(bucket, key)| {
            let path = Path::parse(key).ok()?;
            let is_name = !bucket.is_empty() && !key.is_empty() && path.as_ref() == key;
            is_name.then(|| Self {
                bucket: bucket.to_owned(),
                key: path,
            })
        });
        object.ok_or_else(|| {
            ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("{text} is no object that can be written"),
                "Write s3://bucket/key, where no part of the key is empty.",
            )
        })
    }
}

impl fmt::Display for OutputObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::OutputObject;

    #[test]
    fn an_object_has_a_bucket_and_a_key() {
        let parsed: OutputObject = "s3://lake/a/b.csv".parse().unwrap();
        assert_eq!(parsed.to_string(), "s3://lake/a/b.csv");
        for wrong in [
            "s3://lake",
            "s3://lake/",
            "s3:///a",
            "lake/a",
            "s3://lake/a//b",
            "s3://lake/a/",
        ] {
            assert!(wrong.parse::<OutputObject>().is_err(), "{wrong}");
        }
    }
}
