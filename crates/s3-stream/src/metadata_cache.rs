//! A cache of objects' metadata. Callers that ask for the same object at the same time share one HEAD.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::future::Cache;
use object_store::path::Path;

use crate::{Error, ErrorKind, ObjectMetadata, S3StreamSettings};

/// A cache that any number of [`crate::S3Stream`]s share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MetadataCache {
    // moka's own clock cannot be set, so each entry holds its time and freshness is judged here; moka only bounds the size.
    entries: Cache<Key, Entry>,
    ttl: Duration,
    missing_ttl: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    bucket: String,
    location: Path,
}

#[derive(Debug, Clone)]
struct Entry {
    at: Instant,
    found: Result<Arc<ObjectMetadata>, Error>,
}

impl Key {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.bucket.len() + self.location.as_ref().len()
    }
}

impl Entry {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.found.as_ref().map_or(0, |metadata| metadata.weight())
    }
}

impl MetadataCache {
    /// A cache of the settings' size and times.
    #[must_use]
    pub fn new(settings: &S3StreamSettings) -> Self {
        Self {
            entries: Cache::builder()
                .weigher(|key: &Key, entry: &Entry| {
                    u32::try_from(key.weight() + entry.weight()).unwrap_or(u32::MAX)
                })
                .max_capacity(settings.metadata_cache_bytes)
                .build(),
            ttl: Duration::from_millis(settings.metadata_ttl_ms),
            missing_ttl: Duration::from_millis(settings.missing_ttl_ms),
        }
    }

    /// The metadata from the cache, or from `head`; whether the cache had it.
    pub(crate) async fn get(
        &self,
        bucket: &str,
        location: &Path,
        now: Instant,
        head: impl Future<Output = Result<ObjectMetadata, Error>>,
    ) -> (Result<Arc<ObjectMetadata>, Error>, bool) {
        let key = Key {
            bucket: bucket.to_owned(),
            location: location.clone(),
        };
        if let Some(entry) = self.entries.get(&key).await
            && !self.is_fresh(&entry, now)
        {
            self.entries.invalidate(&key).await;
        }
        let mut asked = false;
        let load = async {
            asked = true;
            match head.await {
                Ok(metadata) => Ok(Entry {
                    at: now,
                    found: Ok(Arc::new(metadata)),
                }),
                Err(error) if error.kind() == ErrorKind::NoSuchKey => Ok(Entry {
                    at: now,
                    found: Err(error),
                }),
                // Other failures are not kept: the next caller asks again.
                Err(error) => Err(error),
            }
        };
        let result = self.entries.try_get_with(key, load).await;
        let found = match result {
            Ok(entry) => entry.found,
            Err(error) => Err(Error::clone(&error)),
        };
        (found, !asked)
    }

    /// Replaces what is known of an object with what is known now.
    pub(crate) async fn put(&self, bucket: &str, metadata: Arc<ObjectMetadata>, now: Instant) {
        let key = Key {
            bucket: bucket.to_owned(),
            location: metadata.location.clone(),
        };
        self.entries
            .insert(
                key,
                Entry {
                    at: now,
                    found: Ok(metadata),
                },
            )
            .await;
    }

    /// Forgets an object, unless something newer than `known` is known of it.
    pub(crate) async fn forget(&self, bucket: &str, known: &ObjectMetadata) {
        let key = Key {
            bucket: bucket.to_owned(),
            location: known.location.clone(),
        };
        let cached = self.entries.get(&key).await;
        if cached.is_some_and(|entry| entry.found.is_ok_and(|found| found.etag == known.etag)) {
            self.entries.invalidate(&key).await;
        }
    }

    /// Forgets an object.
    pub(crate) async fn invalidate(&self, bucket: &str, location: &Path) {
        self.entries
            .invalidate(&Key {
                bucket: bucket.to_owned(),
                location: location.clone(),
            })
            .await;
    }

    fn is_fresh(&self, entry: &Entry, now: Instant) -> bool {
        let ttl = if entry.found.is_ok() {
            self.ttl
        } else {
            self.missing_ttl
        };
        now.saturating_duration_since(entry.at) < ttl
    }
}
