//! The small files in which `s3s-fs` 0.14.1 keeps what a folder cannot: headers and checksums.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The headers that a put left with an object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Attributes {
    pub(crate) user_metadata: Option<HashMap<String, String>>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) cache_control: Option<String>,
}

fn path(root: &Path, bucket: &str, key: &str, kind: &str) -> PathBuf {
    root.join(format!(
        ".bucket-{}.object-{}.{kind}.json",
        URL_SAFE_NO_PAD.encode(bucket),
        URL_SAFE_NO_PAD.encode(key)
    ))
}

/// The headers of an object; none when it was simply laid into the folder.
pub(crate) async fn read(root: &Path, bucket: &str, key: &str) -> Attributes {
    match tokio::fs::read(path(root, bucket, key, "metadata")).await {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => Attributes::default(),
    }
}

/// Removes what belongs to an object that is gone, so that the next one of its name starts clean.
pub(crate) async fn remove(root: &Path, bucket: &str, key: &str) {
    for kind in ["metadata", "internal"] {
        // Most objects have none.
        let _ = tokio::fs::remove_file(path(root, bucket, key, kind)).await;
    }
}
