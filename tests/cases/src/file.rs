//! Objects as `FILE` statements describe them.

use std::sync::Arc;

use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use flowlake_transform::{
    BoxError, Prepared, RowEncoder, RowFormat, Run, StoreResolver, Transform, TransformSpec,
    arrow::{compute::concat_batches, ipc::writer::FileWriter},
};
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use serde_json::json;
use tokio::io::AsyncWriteExt;

macro_rules! compressed {
    ($encoder:ident, $bytes:expr) => {{
        let mut encoder = $encoder::new(Vec::new());
        encoder.write_all(&$bytes).await?;
        encoder.shutdown().await?;
        encoder.into_inner()
    }};
}

/// The bytes of a file of some lines, written as the words say.
///
/// # Errors
/// When a word is unknown, or the lines cannot be written so.
pub async fn written(how: &[&str], lines: &str) -> Result<Vec<u8>, BoxError> {
    let mut bytes = if lines.is_empty() {
        Vec::new()
    } else {
        format!("{lines}\n").into_bytes()
    };
    for how in how {
        bytes = written_as(how, bytes).await?;
    }
    Ok(bytes)
}

async fn written_as(how: &str, bytes: Vec<u8>) -> Result<Vec<u8>, BoxError> {
    let text = String::from_utf8_lossy(&bytes);
    Ok(match how {
        "gzip" => compressed!(GzipEncoder, bytes),
        "zstd" => compressed!(ZstdEncoder, bytes),
        "bzip2" => compressed!(BzEncoder, bytes),
        "xz" => compressed!(XzEncoder, bytes),
        "bom" => [b"\xef\xbb\xbf".to_vec(), bytes].concat(),
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "latin-1" => text
            .chars()
            .map(|character| u8::try_from(u32::from(character)))
            .collect::<Result<_, _>>()?,
        "escaped" => {
            let text = text.trim_end_matches('\n').replace('\n', "");
            let text = text
                .replace("\\\\", "\u{1}")
                .replace("\\n", "\n")
                .replace("\\r", "\r");
            text.replace("\\t", "\t")
                .replace("\\0", "\0")
                .replace('\u{1}', "\\")
                .into_bytes()
        }
        "parquet" | "avro" | "arrow" => of_rows(how, bytes).await?,
        other => return Err(format!("FILE {other} is unknown").into()),
    })
}

/// One store, whatever the bucket.
#[derive(Debug)]
struct OneStore(Arc<dyn ObjectStore>);

impl StoreResolver for OneStore {
    fn store(&self, _bucket: &str) -> Result<Arc<dyn ObjectStore>, BoxError> {
        Ok(Arc::clone(&self.0))
    }
}

/// CSV as another format, by way of our own reader.
async fn of_rows(format: &str, csv: Vec<u8>) -> Result<Vec<u8>, BoxError> {
    let store = OneStore(Arc::new(InMemory::new()));
    store.0.put(&"rows.csv".into(), csv.into()).await?;
    let prepared = Prepared::try_new(TransformSpec {
        sql: "SELECT * FROM t".to_owned(),
        tables: serde_json::from_value(json!({ "t": { "uri": "s3://lake/rows.csv" } }))?,
        params: std::collections::BTreeMap::new(),
        limits: flowlake_transform::Limits::default(),
    })?;
    let bound = prepared.bind(
        &serde_json::Map::new(),
        std::time::SystemTime::UNIX_EPOCH.into(),
    )?;
    let transform = Transform::builder().build()?;
    let files = transform.find(&prepared, &bound, &store).await?;
    let run = Run {
        prepared: &prepared,
        bound: &bound,
        files: &files,
        stores: &store,
    };
    let mut rows = transform.run(&run).await?;
    let schema = rows.schema();
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    Ok(match format {
        "parquet" => {
            let mut encoder = RowEncoder::try_new(RowFormat::Parquet, &schema)?;
            for batch in &batches {
                encoder.push(batch)?;
            }
            [encoder.take(), encoder.finish()?].concat()
        }
        "arrow" => {
            let mut writer = FileWriter::try_new(Vec::new(), &schema)?;
            for batch in &batches {
                writer.write(batch)?;
            }
            writer.into_inner()?
        }
        _ => {
            let batch = concat_batches(&schema, &batches)?;
            let mut writer =
                arrow_avro::writer::AvroWriter::new(Vec::new(), schema.as_ref().clone())?;
            writer.write(&batch)?;
            writer.finish()?;
            writer.into_inner()
        }
    })
}
