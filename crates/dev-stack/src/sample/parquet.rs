//! The Parquet file: typed columns, zstd, row groups small enough to skip.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::row::{COLUMNS, Row};

const ROWS_PER_GROUP: usize = 65_536;

/// Writes all rows.
pub(crate) fn write(
    out: impl Write + Send,
    day: NaiveDate,
    mut rows: impl Iterator<Item = Row>,
) -> Result<(), ParquetError> {
    let schema = Arc::new(schema());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_created_by("flowlake-dev-stack".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
    loop {
        let chunk: Vec<Row> = rows.by_ref().take(ROWS_PER_GROUP).collect();
        if chunk.is_empty() {
            break;
        }
        writer.write(&batch(&schema, day, &chunk)?)?;
    }
    writer.close()?;
    Ok(())
}

fn schema() -> Schema {
    let fields: Vec<Field> = COLUMNS
        .iter()
        .map(|name| {
            let kind = match *name {
                "conversation_start" => DataType::Timestamp(TimeUnit::Microsecond, None),
                "nps_score" => DataType::Float64,
                name if name.starts_with("t_") => DataType::Int64,
                _ => DataType::Utf8,
            };
            Field::new(*name, kind, *name == "wrapup")
        })
        .collect();
    Schema::new(fields)
}

fn batch(schema: &Arc<Schema>, day: NaiveDate, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let midnight = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    let text = |value: &dyn Fn(&Row) -> String| -> ArrayRef {
        let mut builder = StringBuilder::new();
        rows.iter().for_each(|row| builder.append_value(value(row)));
        Arc::new(builder.finish())
    };
    let integer = |value: &dyn Fn(&Row) -> i64| -> ArrayRef {
        let mut builder = Int64Builder::with_capacity(rows.len());
        rows.iter().for_each(|row| builder.append_value(value(row)));
        Arc::new(builder.finish())
    };
    let mut start = TimestampMicrosecondBuilder::with_capacity(rows.len());
    let mut score = Float64Builder::with_capacity(rows.len());
    let mut wrapup = StringBuilder::new();
    for row in rows {
        start.append_value((midnight + i64::from(row.second)) * 1_000_000);
        score.append_value(f64::from(row.nps_score) / 100.0);
        wrapup.append_option(row.wrapup);
    }
    RecordBatch::try_new(
        Arc::clone(schema),
        vec![
            text(&|row| row.conversation_id.to_string()),
            Arc::new(start.finish()),
            text(&|row| row.queue_name.to_owned()),
            text(&|row| row.agent_id().to_string()),
            text(&|row| row.media_type.to_owned()),
            text(&|row| row.direction.to_owned()),
            text(&|row| row.ani().to_string()),
            integer(&|row| row.t_handle_ms),
            integer(&|row| row.t_talk_ms),
            integer(&|row| row.t_acw_ms),
            integer(&|row| row.t_wait_ms),
            Arc::new(score.finish()),
            Arc::new(wrapup.finish()),
        ],
    )
}
