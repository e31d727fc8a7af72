//! What a folder cannot say of an object: its storage class, whether it is being restored, and
//! the key that encrypts it. Tests set it; reads and HEADs tell it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// The state of one object, beyond its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectState {
    /// `GLACIER`, `DEEP_ARCHIVE`, `STANDARD_IA`…; left out, `STANDARD`.
    pub storage_class: Option<String>,
    /// The value of `x-amz-restore`, such as `ongoing-request="true"`.
    pub restore: Option<String>,
    /// The ARN of the KMS key that encrypts it. Reading then needs `kms:Decrypt` on that key.
    pub kms_key_arn: Option<String>,
    /// Its tags, seen by policies as `s3:ExistingObjectTag/KEY`.
    pub tags: BTreeMap<String, String>,
}

impl ObjectState {
    /// Whether the bytes are out of reach: archived and not restored.
    pub(crate) fn is_archived(&self) -> bool {
        let archived = matches!(
            self.storage_class.as_deref(),
            Some("GLACIER" | "DEEP_ARCHIVE")
        );
        let restored = self
            .restore
            .as_deref()
            .is_some_and(|restore| restore.contains("ongoing-request=\"false\""));
        archived && !restored
    }
}

/// The states that were set, by bucket and key.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectStates {
    set: Arc<RwLock<HashMap<(String, String), ObjectState>>>,
    /// Keys that are in listings alone, with their sizes.
    listed: Arc<RwLock<BTreeMap<(String, String), u64>>>,
}

impl ObjectStates {
    pub(crate) fn set(&self, bucket: &str, key: &str, state: ObjectState) {
        self.set
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((bucket.to_owned(), key.to_owned()), state);
    }

    pub(crate) fn list_key(&self, bucket: &str, key: &str, size: u64) {
        self.listed
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((bucket.to_owned(), key.to_owned()), size);
    }

    /// The keys with that prefix that no folder holds, in order, with their sizes.
    pub(crate) fn listed(&self, bucket: &str, prefix: &str) -> Vec<(String, u64)> {
        let listed = self.listed.read().unwrap_or_else(PoisonError::into_inner);
        let found = listed
            .iter()
            .filter(|((owner, key), _)| owner == bucket && key.starts_with(prefix));
        found.map(|((_, key), size)| (key.clone(), *size)).collect()
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> ObjectState {
        self.set
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(bucket.to_owned(), key.to_owned()))
            .cloned()
            .unwrap_or_default()
    }
}
