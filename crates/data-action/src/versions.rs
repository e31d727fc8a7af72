//! What an answer depends on: the action, the parameters, and the versions of the objects. Together they are its tag.

use std::fmt;

use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::{BoundParams, BoundValue};
use sha2::{Digest, Sha256};

/// Object versions, in any order.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    objects: Vec<[u8; 32]>,
    /// Whether S3 has not told the `ETag` of one.
    incomplete: bool,
}

/// A digest of everything in an action that its rows depend on beside files and parameters, and of the program's version.
#[derive(Debug)]
pub(crate) struct Fingerprint([u8; 32]);

/// Stands for one answer: where it is the same, the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tag([u8; 16]);

impl Versions {
    pub(crate) fn add(
        &mut self,
        bucket: &str,
        key: &str,
        etag: Option<&str>,
        version: Option<&str>,
    ) {
        self.incomplete |= etag.is_none();
        let mut digest = Sha256::new();
        for part in [
            bucket,
            key,
            etag.unwrap_or_default(),
            version.unwrap_or_default(),
        ] {
            add_text(&mut digest, part);
        }
        self.objects.push(digest.finalize().into());
    }

    pub(crate) fn add_object(&mut self, bucket: &str, object: &ObjectMetadata) {
        let (key, etag) = (object.location.as_ref(), object.etag.as_deref());
        self.add(bucket, key, etag, object.version_id.as_deref());
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.objects.extend(others.objects);
        self.incomplete |= others.incomplete;
    }

    /// The tag of the answer from these versions; none where one of them is not known.
    pub(crate) fn tag(mut self, action: &Fingerprint, params: &BoundParams) -> Option<Tag> {
        if self.incomplete {
            return None;
        }
        self.objects.sort_unstable();
        let mut digest = Sha256::new();
        digest.update(action.0);
        for (name, value, _) in params.entries() {
            add_text(&mut digest, name);
            add_value(&mut digest, value);
        }
        for object in &self.objects {
            digest.update(object);
        }
        let digest = digest.finalize();
        let mut tag = [0; 16];
        tag.copy_from_slice(&digest[..16]);
        Some(Tag(tag))
    }
}

impl Fingerprint {
    pub(crate) fn of(parts: &impl fmt::Debug) -> Self {
        let mut digest = Sha256::new();
        add_text(&mut digest, env!("CARGO_PKG_VERSION"));
        digest.update(format!("{parts:?}"));
        Self(digest.finalize().into())
    }
}

/// Each text behind its length, so that no two lists of texts are written alike.
fn add_text(digest: &mut Sha256, text: &str) {
    digest.update(text.len().to_le_bytes());
    digest.update(text);
}

fn add_value(digest: &mut Sha256, value: &BoundValue) {
    if let BoundValue::List(_, items) = value {
        digest.update(b"[");
        digest.update(items.len().to_le_bytes());
        items.iter().for_each(|item| add_value(digest, item));
        return;
    }
    digest.update(b"=");
    add_text(digest, &value.to_string());
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}
