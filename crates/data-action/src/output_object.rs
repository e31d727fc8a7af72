//! An object of S3 as the place of an answer.

use std::{fmt, str::FromStr};

use flowlake_transform::RowFormat;
use object_store::{Attribute, AttributeValue, Attributes, path::Path};

use crate::{ActionError, ErrorCode};

/// An object that an answer is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputObject {
    pub(crate) bucket: String,
    pub(crate) key: Path,
}

impl OutputObject {
    /// The content type that the name says.
    pub(crate) fn attributes(&self) -> Attributes {
        let extension = self.key.extension().unwrap_or_default().to_lowercase();
        let named = match extension.as_str() {
            "txt" => Some("text/plain; charset=utf-8"),
            "gz" => Some("application/gzip"),
            "xlsx" => Some("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            "jsonl" => Some(RowFormat::Ndjson.media_type()),
            "tsv" | "tab" => Some(RowFormat::Tsv.media_type()),
            "arrows" => Some(RowFormat::Arrow.media_type()),
            "arrow" | "feather" => Some(RowFormat::ArrowFile.media_type()),
            name => name.parse().ok().map(RowFormat::media_type),
        };
        let named = named.into_iter();
        named
            .map(|name| (Attribute::ContentType, AttributeValue::from(name)))
            .collect()
    }
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
    use object_store::Attribute;

    use super::OutputObject;

    #[test]
    fn an_object_has_a_bucket_and_a_key() {
        let parsed: OutputObject = "s3://lake/a/b.csv".parse().unwrap();
        assert_eq!(parsed.to_string(), "s3://lake/a/b.csv");
        let types = |text: &str| {
            let object: OutputObject = text.parse().unwrap();
            let attributes = object.attributes();
            attributes
                .get(&Attribute::ContentType)
                .map(|kind| kind.as_ref().to_owned())
        };
        for (key, kind) in [
            ("s3://b/a.csv", Some("text/csv")),
            ("s3://b/a.JSONL", Some("application/x-ndjson")),
            ("s3://b/a.csv.gz", Some("application/gzip")),
            ("s3://b/a.tsv", Some("text/tab-separated-values")),
            ("s3://b/a.arrow", Some("application/vnd.apache.arrow.file")),
            (
                "s3://b/a.arrows",
                Some("application/vnd.apache.arrow.stream"),
            ),
            ("s3://b/a.parquet", Some("application/vnd.apache.parquet")),
            ("s3://b/a", None),
        ] {
            assert_eq!(types(key).as_deref(), kind, "{key}");
        }
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
