//! A content type by the name of the object, for objects that were put without one.

/// The type that a key's ending suggests; S3's own default otherwise.
pub(crate) fn of(key: &str) -> &'static str {
    let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => "text/csv",
        Some("tsv") => "text/tab-separated-values",
        Some("json") => "application/json",
        Some("ndjson" | "jsonl") => "application/x-ndjson",
        Some("parquet") => "application/vnd.apache.parquet",
        Some("gz") => "application/gzip",
        Some("zst") => "application/zstd",
        Some("txt" | "log") => "text/plain",
        Some("xml") => "application/xml",
        _ => "binary/octet-stream",
    }
}
