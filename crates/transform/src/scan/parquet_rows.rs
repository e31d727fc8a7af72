//! Parquet whose rows are looked at one by one, in tables with a policy (`on_error`) for values that do not fit.
//!
//! All other Parquet is read by the engine, which leaves out rows by conditions and knows no rows that do not fit.

use std::{panic::AssertUnwindSafe, sync::Arc};

use datafusion::{
    arrow::datatypes::TimeUnit,
    common::{DataFusionError, Result},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{ParquetFileReaderFactory, parquet::Int96Coercer},
    },
    parquet::{
        arrow::{
            ParquetRecordBatchStreamBuilder, ProjectionMask,
            arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
            async_reader::AsyncFileReader,
        },
        errors::ParquetError,
    },
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use futures::{FutureExt, StreamExt};
use object_store::ObjectMeta;

use super::{
    opener::{Rows, external},
    parquet::{TrustedReaders, fault},
};
use crate::formats::{binary::Adapter, chunk::Asked, misfit::Misfits};

/// The rows of a file, in the columns that are asked for.
pub(super) async fn rows(
    readers: &TrustedReaders,
    file: &ObjectMeta,
    asked: Asked,
    misfits: Misfits,
    moments: TimeUnit,
) -> Result<Rows> {
    let of_file = misfits.clone();
    // A panic, a file that is none, or a store that failed: that is the store's to tell.
    let failed = move |error: Option<ParquetError>| match error {
        Some(error @ ParquetError::External(_)) => DataFusionError::ParquetError(error.into()),
        error => {
            let told = error.map_or_else(String::new, |error| error.to_string());
            external(of_file.error(fault(&told)))
        }
    };
    let whole = PartitionedFile::new_from_meta(file.clone());
    let metrics = ExecutionPlanMetricsSet::new();
    let mut reader: Box<dyn AsyncFileReader> = readers.create_reader(0, whole, None, &metrics)?;
    // The decoder of Parquet 59 takes lengths in a file at their word, and panics where they are wrong.
    let footer = AssertUnwindSafe(footer(&mut reader, moments)).catch_unwind();
    let footer = footer.await.map_err(|_panic| failed(None))?;
    let footer = footer.map_err(|error| failed(Some(error)))?;
    let opened = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, footer);
    for name in asked.unlisted(opened.schema()) {
        misfits.unlisted(&name);
    }
    let names = asked.decoded().into_iter();
    let places = names.filter_map(|place| {
        let name = asked.table.field(place).name();
        opened.schema().index_of(name).ok()
    });
    let mask = ProjectionMask::roots(opened.parquet_schema(), places);
    let mut promised = opened.metadata().file_metadata().num_rows();
    let opened = opened
        .with_projection(mask)
        .with_batch_size(asked.batch_rows);
    let batches = opened.build().map_err(|error| failed(Some(error)))?;
    let mut adapter = Adapter::new(asked, misfits);
    let batches = AssertUnwindSafe(batches).catch_unwind().map(Some);
    let ended = futures::stream::iter([None]);
    let rows = batches.chain(ended).filter_map(move |batch| {
        let adapted = match batch {
            Some(Ok(Ok(batch))) => {
                promised -= i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
                Some(adapter.adapt(&batch).map_err(external))
            }
            Some(Ok(Err(error))) => Some(Err(failed(Some(error)))),
            Some(Err(_panic)) => Some(Err(failed(None))),
            // Rows that the footer promises must arrive.
            None => (promised != 0).then(|| Err(failed(None))),
        };
        futures::future::ready(adapted)
    });
    Ok(rows.boxed())
}

/// The footer, by which timestamps of 96 bits are read in a unit.
async fn footer(
    reader: &mut Box<dyn AsyncFileReader>,
    moments: TimeUnit,
) -> std::result::Result<ArrowReaderMetadata, ParquetError> {
    let options = ArrowReaderOptions::new();
    let found = ArrowReaderMetadata::load_async(reader, options.clone()).await?;
    let parquet = found.metadata().file_metadata().schema_descr();
    let own = found.schema();
    match Int96Coercer::new(parquet, own, &moments).coerce() {
        Some(schema) => {
            let options = options.with_schema(schema.into());
            ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options)
        }
        None => Ok(found),
    }
}
