//! Our scans and functions in plans that travel.
//!
//! Functions travel by their names: a worker has each function under the name that plans have it by (`functions::in_plans`).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use datafusion::{
    common::{DataFusionError, Result},
    datasource::{
        object_store::ObjectStoreUrl,
        physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource},
    },
    execution::TaskContext,
    physical_plan::ExecutionPlan,
};
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
    from_proto::parse_protobuf_file_scan_config, to_proto::serialize_file_scan_config,
};
use object_store::ObjectMeta;
use prost::Message;

use super::{
    carried::carried,
    wire::{Filters, ParquetMessage, ScanMessage, VersionMessage, broken, pinned},
    worker::TaskSide,
    worker_scan::{Footers, WorkerScan},
};
use crate::{
    Error, ErrorKind, TableSpec,
    explain::files_of,
    scan::{
        TableScan,
        format::RowsFormat,
        head::Heads,
        parquet::{CheckedParquet, ParquetFiles, ParquetRuntime},
        source::RowsSource,
    },
    scan_store::{ScanMeter, ScanStore},
    session,
};

/// Writes scans, and reads them where it is a worker's.
#[derive(Debug)]
pub(super) struct PlanCodec(Option<TaskSide>);

/// What a scan is made of, beside the engine's message.
struct Parts<'a> {
    spec: &'a TableSpec,
    filters: Filters,
    parquet: Option<ParquetMessage>,
}

impl PlanCodec {
    pub(super) const fn coordinator() -> Self {
        Self(None)
    }

    pub(super) const fn worker(side: TaskSide) -> Self {
        Self(Some(side))
    }
}

fn parts(scan: &FileScanConfig) -> Option<Parts<'_>> {
    let source = scan.file_source();
    if let Some(rows) = source.downcast_ref::<RowsSource>() {
        return Some(Parts {
            spec: rows.spec(),
            filters: rows.filters().to_vec(),
            parquet: None,
        });
    }
    let parquet = source.downcast_ref::<CheckedParquet>()?;
    Some(Parts {
        spec: parquet.spec(),
        filters: parquet.filter().into_iter().collect(),
        parquet: Some(ParquetMessage {
            filters_rows: parquet.filters_rows(),
        }),
    })
}

impl PhysicalExtensionCodec for PlanCodec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let unknown = || {
            let name = node.name();
            DataFusionError::NotImplemented(format!("{name} cannot be sent to a worker"))
        };
        let scan = files_of(node.as_ref()).ok_or_else(unknown)?;
        let parts = parts(scan).ok_or_else(unknown)?;
        let files = scan.file_groups.iter().flat_map(FileGroup::iter);
        let mut message = ScanMessage {
            limit: scan.limit.map(|rows| rows as u64),
            versions: files
                .map(|file| VersionMessage::of(&file.object_meta))
                .collect(),
            filters: parts
                .filters
                .iter()
                .map(|filter| converter.physical_expr_to_proto(filter, self))
                .collect::<Result<_>>()?,
            parquet: parts.parquet,
            preserve_order: scan.preserve_order,
            ..ScanMessage::default()
        };
        message.declare(parts.spec)?;
        let mut scan = serialize_file_scan_config(scan, self, converter)?;
        scan.limit = None;
        message.scan = Some(scan);
        buffer.extend(message.encode_to_vec());
        Ok(())
    }

    fn try_decode(
        &self,
        buffer: &[u8],
        _inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let side = self.0.as_ref();
        let side = side.ok_or_else(|| broken("a worker to run it"))?;
        let message = ScanMessage::decode(buffer).map_err(|_error| broken("a known form"))?;
        let spec = message.declared()?;
        let ScanMessage {
            scan,
            limit,
            versions,
            filters,
            parquet,
            preserve_order,
            ..
        } = message;
        let mut scan = scan.ok_or_else(|| broken("its files"))?;
        let bucket = bucket_of(&scan.object_store_url)?;
        // Each scan has a store of its own, with its own files and meter.
        let url = own_url();
        scan.object_store_url.clone_from(&url);
        let mut versions = versions.into_iter();
        let columns = FileScanConfig::parse_table_schema_from_proto(&scan)?;
        let decoding = PhysicalPlanDecodeContext::new(context, self);
        let columns_of_filters = match parquet {
            Some(_) => columns.table_schema(),
            None => columns.file_schema(),
        };
        let filters = filters
            .iter()
            .map(|filter| converter.proto_to_physical_expr(filter, columns_of_filters, &decoding))
            .collect::<Result<Filters>>()?;
        let meter = Arc::new(ScanMeter::new(side.run.max_scan_bytes));
        let runtime = context.runtime_env();
        let table = Arc::new(TableScan::new(
            spec,
            Arc::clone(&meter),
            Arc::new(Heads::default()),
            context.session_config().target_partitions(),
            false,
            ParquetRuntime::of(&runtime),
        ));
        let all = columns.table_schema().fields().iter();
        let all = all.map(|field| field.name().clone());
        let own = columns.file_schema().fields();
        let format = parquet.map(|_| Arc::new(ParquetFiles::new(Arc::clone(&table), all, own)));
        let source: Arc<dyn FileSource> = match (&format, parquet) {
            (Some(format), Some(parquet)) => {
                format.source_with(columns.clone(), filters, parquet.filters_rows)
            }
            _ => Arc::new(RowsSource::new(table, columns.clone()).with_filters(filters)),
        };
        let scan = parse_protobuf_file_scan_config(&scan, &decoding, converter, source)?;
        let mut files = Vec::new();
        let groups = scan.file_groups.iter().map(|group| {
            let group = group.iter().map(|file| {
                let mut file = file.clone();
                let version = versions.next().ok_or_else(|| broken("a version"))?;
                file.object_meta = pinned(file.object_meta, version);
                files.push(file.object_meta.clone());
                Ok(file)
            });
            Ok(FileGroup::new(group.collect::<Result<_>>()?))
        });
        let groups = groups.collect::<Result<Vec<_>>>()?;
        let limit = limit.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
        let scan = FileScanConfigBuilder::from(scan)
            .with_file_groups(groups)
            .with_limit(limit)
            .with_preserve_order(preserve_order)
            .build();
        let opened = side.stores.open(&bucket, &files);
        let opened = opened.map_err(|error| {
            let message = format!("a worker cannot read bucket `{bucket}`: {error}");
            let error = Error::new(ErrorKind::Store, message).with_source(error);
            carried(DataFusionError::External(Box::new(error)))
        })?;
        let keys = files.iter().map(|file| file.location.clone()).collect();
        let store: Arc<dyn object_store::ObjectStore> =
            Arc::new(ScanStore::new(opened.store, Arc::clone(&meter), keys));
        session::add_store_of_scan(&runtime, &ObjectStoreUrl::parse(&url)?, Arc::clone(&store));
        let (inner, footers) = match format {
            Some(format) => {
                let inner = format.planned(&runtime, scan)?;
                let footers = Footers::new(format, files, store, columns.file_schema());
                (inner, Some(footers))
            }
            None => (RowsFormat::planned(scan), None),
        };
        side.run.add(&bucket, &meter, &opened.usage);
        Ok(Arc::new(WorkerScan {
            inner,
            footers,
            bucket,
            run: Arc::clone(&side.run),
        }))
    }
}

/// A url that no other scan of this process has.
fn own_url() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("scan://{number}/")
}

fn bucket_of(url: &str) -> Result<String> {
    let bucket = url
        .strip_prefix("s3://")
        .map(|url| url.trim_end_matches('/'));
    bucket
        .filter(|bucket| !bucket.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| broken("a bucket"))
}

/// The files of a scan on a worker.
pub(super) type ScanFiles = Vec<ObjectMeta>;
