//! A cache of what was detected in files, valid over runs as long as a file is the same.

use std::sync::Arc;

use moka::future::Cache;
use object_store::ObjectMeta;

use super::inspect::Facts;
use crate::TableSpec;

/// Columns of all files that are kept together; a column takes some hundred bytes.
const KEPT_COLUMNS: u64 = 200_000;

/// Facts of files by name, version and how they are to be read. Cheap to clone; clones share what is kept.
#[derive(Debug, Clone)]
pub(crate) struct SchemaCache(Cache<String, Arc<Facts>>);

impl SchemaCache {
    pub(crate) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(KEPT_COLUMNS)
            .weigher(|key: &String, facts: &Arc<Facts>| {
                let columns = facts
                    .schema
                    .as_ref()
                    .map_or(0, |schema| schema.fields().len());
                u32::try_from(columns + key.len() / 100 + 1).unwrap_or(u32::MAX)
            })
            .build();
        Self(cache)
    }

    /// Everything that detection depends on.
    pub(crate) fn key(bucket: &str, file: &ObjectMeta, spec: &TableSpec) -> String {
        let reading = (
            spec.format,
            spec.compression,
            &spec.encoding,
            (
                spec.header,
                spec.header_lines,
                spec.skip_lines,
                spec.footer_lines,
                &spec.delimiter,
                spec.quote,
                spec.escape,
                spec.comment,
                spec.trim,
            ),
            &spec.null_values,
            &spec.json_pointer,
            spec.infer_rows,
        );
        let version = (&file.e_tag, &file.version, file.last_modified, file.size);
        format!("{bucket}/{} {version:?} {reading:?}", file.location)
    }

    pub(crate) async fn get(&self, key: &str) -> Option<Arc<Facts>> {
        self.0.get(key).await
    }

    pub(crate) async fn keep(&self, key: String, facts: Arc<Facts>) {
        self.0.insert(key, facts).await;
    }
}
