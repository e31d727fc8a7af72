//! From a declared table and its files to a table of the engine: the format of the files and the columns they have together are
//! detected, unless they are declared.

mod partitions;

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::{Field, Schema, SchemaRef},
    common::{TableReference, runtime::SpawnedTask},
    datasource::file_format::FileFormat,
    prelude::SessionContext,
};
use futures::{StreamExt, stream};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, memory::InMemory};
use serde::Serialize;
use tokio::runtime::Handle;

use self::partitions::Partitions;
use crate::{
    Error, ErrorKind, Format, Location, OnError, TableFiles, TableSpec,
    error::planning,
    files::{no_columns, no_files},
    files_table::{FilesTable, TableFile},
    formats::{csv::Header, detect, known::Known},
    scan::{
        TableScan,
        format::RowsFormat,
        head::{self, HEAD_BYTES, Heads},
        inspect::{self, Evidence, Examined, Facts, Looking},
        parquet::{self, ParquetFiles, ParquetRuntime, metadata},
        schema_cache::SchemaCache,
    },
    scan_store::ScanMeter,
    schema,
    session::store_url,
};

/// Heads that are read when a smaller one does not hold a record: 256 KiB, 4 MiB, 64 MiB.
const HEAD_GROWTH: u64 = 16;
/// Files of a sample that are looked into at the same time.
const FILES_AT_A_TIME: usize = 32;
const LARGEST_HEAD: u64 = HEAD_BYTES * HEAD_GROWTH * HEAD_GROWTH;

/// What was detected about a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableInfo {
    /// The table's name.
    pub table: String,
    /// Number of files.
    pub files: usize,
    /// Bytes of all files, as they are stored.
    pub bytes: u64,
    /// How the first file is written, such as `csv`.
    pub format: String,
    /// How the first file is compressed as a whole, such as `gzip`; `none` if it is not.
    pub compression: String,
    /// How the first file's text is encoded, such as `UTF-8`; none for binary formats.
    pub encoding: Option<String>,
    /// What separates the fields of delimited text.
    pub delimiter: Option<String>,
    /// Whether the first records of delimited text name the columns.
    pub header: Option<bool>,
    /// What is rarer in delimited text, as `[tables.NAME]` writes it, such as `skip_lines = 3`.
    pub dialect: Vec<String>,
    /// Names and types of the columns that segments of keys make.
    pub partitions: Vec<(String, String)>,
    /// Names and types of all columns.
    pub columns: Vec<(String, String)>,
    /// Keys that come up only behind the records that columns are found from, as far as the heads of files show it: they are
    /// no columns. Those inside of objects have the keys before them: `o.late`.
    pub unlisted: Vec<String>,
    /// Columns that the table declares and that the head of its first file does not show. Another file may have them.
    pub absent: Vec<String>,
    /// Why the first file is taken to be so.
    pub evidence: Vec<Evidence>,
}

/// The columns of all files of a table.
struct FilesColumns {
    /// What the first file is.
    first: Arc<Facts>,
    columns: Schema,
    /// Columns without a value that told a type, as far as was looked: they are text.
    untyped: BTreeSet<String>,
    late: Vec<String>,
    /// Columns that are declared and that the first file does not show.
    absent: Vec<String>,
}

/// What a table is built from.
pub(crate) struct TableBuilder<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) cache: &'a SchemaCache,
    pub(crate) meter: &'a Arc<ScanMeter>,
    pub(crate) spec: &'a TableSpec,
    /// What was found at each of its locations, all in one store.
    pub(crate) found: &'a [TableFiles],
}

/// A table, and what was detected about it.
pub(crate) struct Source {
    pub(crate) table: Arc<FilesTable>,
    pub(crate) info: TableInfo,
}

impl TableBuilder<'_> {
    /// Finds out what is not declared, and builds the table.
    pub(crate) async fn table(&self) -> Result<Source, Error> {
        let located = self.located();
        let files: Vec<&ObjectMeta> = located.iter().map(|(_, file)| *file).collect();
        let scan = Arc::new(TableScan::new(
            self.spec.clone(),
            Arc::clone(self.meter),
            Arc::new(Heads::default()),
            self.session.copied_config().target_partitions(),
            self.found[0].table.location.is_local(),
            ParquetRuntime::of(&self.session.runtime_env()),
        ));
        let partitions = Partitions::of(self.spec, &located)?;
        let FilesColumns {
            first,
            columns,
            untyped,
            late,
            mut absent,
        } = self.columns(&files, &scan).await?;
        let fields = columns.fields().iter().filter(|field| {
            let mut partitions = partitions.columns.iter();
            partitions.all(|(name, _)| name != field.name())
        });
        let columns: SchemaRef = Schema::new(fields.map(Arc::clone).collect::<Vec<_>>()).into();
        if columns.fields().is_empty() {
            return Err(self.no_columns(&files, &scan).await);
        }
        let format: Arc<dyn FileFormat> = match first.format {
            // What does not fit is left out or made null by a reader of ours.
            Format::Parquet if self.spec.on_error == OnError::Fail => {
                let own = columns.fields().iter().map(|field| field.name().clone());
                let of_keys = partitions.columns.iter().map(|(name, _)| name.clone());
                let all = own.chain(of_keys);
                Arc::new(ParquetFiles::new(scan, all, columns.fields()))
            }
            _ => Arc::new(RowsFormat(scan)),
        };
        let mut info = self.info(&files, &first, &columns, &partitions.columns);
        info.unlisted = late;
        absent.retain(|name| partitions.columns.iter().all(|(own, _)| own != name));
        info.absent = absent;
        let files = files.iter().zip(partitions.values);
        let files = files.map(|(file, values)| TableFile {
            object: (*file).clone(),
            values,
        });
        let partitions = partitions.columns.iter();
        let partitions =
            partitions.map(|(name, kind)| Arc::new(Field::new(name, kind.clone(), true)));
        let table = FilesTable::new(
            store_url(self.bucket())?,
            TableReference::bare(self.name()),
            files.collect(),
            columns,
            partitions.collect(),
            format,
            self.spec.columns.as_ref(),
        )
        .with_untyped(untyped);
        Ok(Source {
            table: Arc::new(table),
            info,
        })
    }

    fn name(&self) -> &str {
        &self.found[0].table.table
    }

    fn bucket(&self) -> &str {
        self.found[0].table.location.bucket()
    }

    /// All files in the order of their keys, each with the location that it was found at.
    fn located(&self) -> Vec<(&Location, &ObjectMeta)> {
        let mut all: Vec<_> = self
            .found
            .iter()
            .flat_map(|found| {
                let location = &found.table.location;
                found.objects.iter().map(move |object| (location, object))
            })
            .collect();
        all.sort_by(|(_, a), (_, b)| a.location.cmp(&b.location));
        all
    }

    /// Why no file of the sample has a column.
    async fn no_columns(&self, files: &[&ObjectMeta], scan: &TableScan) -> Error {
        // What is left out where it does not fit is what is wrong here.
        let mut strict = self.spec.clone();
        strict.on_error = OnError::Fail;
        let strict = TableBuilder {
            spec: &strict,
            store: Arc::clone(&self.store),
            ..*self
        };
        let mut holds = "";
        for file in sample(files, self.spec.infer_files) {
            match strict.look(file, scan, HEAD_BYTES).await {
                Ok(Examined {
                    plain: Some(plain), ..
                }) => {
                    let is_blank = plain
                        .iter()
                        .all(|byte| b" \t\r\n\xef\xbb\xbf".contains(byte));
                    holds = match holds {
                        "" | "nothing but blanks" if is_blank => "nothing but blanks",
                        _ => "no record with a field",
                    };
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        no_columns(self.found, holds)
    }

    /// What the first file is, and the columns of all.
    async fn columns(
        &self,
        files: &[&ObjectMeta],
        scan: &TableScan,
    ) -> Result<FilesColumns, Error> {
        let Some(&first) = files.first() else {
            return Err(no_files(self.found));
        };
        if let Some(declared) = &self.spec.columns {
            let facts = self.first_facts(first, scan).await?;
            let by_name = |schema: &SchemaRef| {
                let names = declared.names();
                let absent = names.filter(|name| schema.index_of(name).is_err());
                absent.map(str::to_owned).collect()
            };
            return Ok(FilesColumns {
                absent: facts.schema.as_ref().map_or_else(Vec::new, by_name),
                first: facts,
                columns: declared.schema().as_ref().clone(),
                untyped: BTreeSet::new(),
                late: Vec::new(),
            });
        }
        let mut together: Option<(Arc<Facts>, Schema)> = None;
        let mut late = BTreeSet::new();
        let sample = stream::iter(sample(files, self.spec.infer_files));
        let mut sample = sample
            .map(|file| async move { (file, self.facts(file, scan).await) })
            .boxed()
            .buffered(FILES_AT_A_TIME);
        while let Some((file, facts)) = sample.next().await {
            let facts = facts?;
            late.extend(facts.late.iter().cloned());
            let of_file = facts
                .schema
                .as_ref()
                .map_or_else(Schema::empty, |schema| schema.as_ref().clone());
            let of_file = Facts::declared_types(self.spec, &of_file);
            together = Some(match together {
                None => (facts, of_file),
                Some((first, known)) => {
                    let text = first.is_text() && facts.is_text();
                    let both = schema::union(&known, &of_file, text).map_err(|(column, left, right)| {
                        Error::new(
                            ErrorKind::MalformedData,
                            format!(
                                "column `{column}` is {} in {} and {} in files before it: declare one type for it under `types`",
                                schema::type_name(&right),
                                scan.name_of(&file.location),
                                schema::type_name(&left)
                            ),
                        )
                    })?;
                    (first, both)
                }
            });
        }
        let (first, columns) = together.ok_or_else(|| no_files(self.found))?;
        if let Some(name) = self
            .spec
            .types
            .keys()
            .find(|name| columns.index_of(name).is_err())
        {
            return Err(Error::new(
                ErrorKind::UnknownColumn,
                format!(
                    "`types` of table `{}` names `{name}`, which no file has",
                    self.name()
                ),
            ));
        }
        if !late.is_empty() {
            let known = Known::of(columns.fields()).paths();
            let declared: Vec<_> = self
                .spec
                .types
                .keys()
                .map(|name| format!("{name}."))
                .collect();
            late.retain(|name| {
                let mut declared = declared.iter();
                !known.contains(name) && !declared.any(|declared| name.starts_with(declared))
            });
        }
        let untyped = columns.fields().iter();
        let untyped = untyped.filter(|field| field.data_type().is_null());
        Ok(FilesColumns {
            first,
            untyped: untyped.map(|field| field.name().clone()).collect(),
            columns: schema::settled(&columns),
            late: late.into_iter().collect(),
            absent: Vec::new(),
        })
    }

    /// What the first file is, when columns are declared: no more is read than has to be. Its columns are those that its head
    /// shows by name.
    async fn first_facts(&self, first: &ObjectMeta, scan: &TableScan) -> Result<Arc<Facts>, Error> {
        let format = self
            .spec
            .format
            .or_else(|| detect::by_name(first.location.as_ref()).0);
        if format == Some(Format::Parquet) {
            return Ok(Arc::new(Facts::parquet(None, self.parquet_reason())));
        }
        let examined = self.look(first, scan, HEAD_BYTES).await?;
        let mut facts = examined.facts;
        if matches!(facts.csv.header, Header::Names(_)) || !facts.is_delimited() {
            facts.schema = examined.columns.map(|found| found.schema.into());
        }
        Ok(Arc::new(facts))
    }

    /// What a file is and its columns, from the cache or from its head.
    async fn facts(&self, file: &ObjectMeta, scan: &TableScan) -> Result<Arc<Facts>, Error> {
        let key = SchemaCache::key(self.bucket(), file, self.spec);
        if let Some(facts) = self.cache.get(&key).await {
            scan.learn(&file.location, Arc::clone(&facts));
            return Ok(facts);
        }
        let facts = Arc::new(self.find(file, scan).await?);
        scan.learn(&file.location, Arc::clone(&facts));
        self.cache.keep(key, Arc::clone(&facts)).await;
        Ok(facts)
    }

    async fn find(&self, file: &ObjectMeta, scan: &TableScan) -> Result<Facts, Error> {
        let named = self
            .spec
            .format
            .or_else(|| detect::by_name(file.location.as_ref()).0);
        if named == Some(Format::Parquet) {
            return self.parquet_facts(file, scan).await;
        }
        let mut bytes = HEAD_BYTES;
        loop {
            let examined = self.look(file, scan, bytes).await?;
            if examined.facts.format == Format::Parquet {
                return self.parquet_facts(file, scan).await;
            }
            if let Some(found) = examined.columns {
                return Ok(Facts {
                    schema: Some(found.schema.into()),
                    late: found.late,
                    ..examined.facts
                });
            }
            if bytes >= LARGEST_HEAD || examined.plain.is_some() {
                return Err(Error::new(
                    ErrorKind::MalformedData,
                    format!(
                        "{}: no record ends within its first bytes",
                        scan.name_of(&file.location)
                    ),
                ));
            }
            bytes *= HEAD_GROWTH;
        }
    }

    /// Reads the head of a file and finds out how it is written.
    async fn look(
        &self,
        file: &ObjectMeta,
        scan: &TableScan,
        bytes: u64,
    ) -> Result<Examined, Error> {
        let asked = usize::try_from(bytes).unwrap_or(usize::MAX);
        let head = match scan.heads.get(&file.location) {
            Some(head) if head.whole || head.bytes.len() >= asked => head,
            _ => {
                let head = head::read(self.store.as_ref(), &file.location, file.size, bytes)
                    .await
                    .map_err(|error| planning(error.into()))?;
                scan.heads.keep(&file.location, &head);
                head
            }
        };
        let head = head.beginning(bytes);
        let declared = self.spec.columns.is_some();
        let name = scan.name_of(&file.location);
        let columns = if declared {
            Looking::IfInOrder
        } else {
            Looking::ForColumns
        };
        let examined = inspect::examine(self.spec, &name, head, columns).await?;
        if declared {
            scan.learn(&file.location, Arc::new(examined.facts.clone()));
        }
        Ok(examined)
    }

    async fn parquet_facts(&self, file: &ObjectMeta, scan: &TableScan) -> Result<Facts, Error> {
        let whole = scan.whole(self.store.as_ref(), file).await;
        let whole = whole.map_err(|error| planning(error.into()))?;
        let (state, store) = (self.session.state(), Arc::clone(&self.store));
        let (format, object) = (parquet::format(self.spec), file.clone());
        let runtime = Handle::current();
        // Of many columns, it takes long.
        let finding = SpawnedTask::spawn_blocking(move || {
            runtime.block_on(async {
                let footers = ParquetRuntime::of(state.runtime_env()).footers;
                // The engine finds it in the cache.
                let source = metadata::Source {
                    store: store.as_ref(),
                    file: &object,
                    whole: whole.as_ref(),
                };
                metadata::fetch(source, Some(&footers)).await?;
                let store = match whole {
                    Some(bytes) => {
                        let memory = InMemory::new();
                        memory.put(&object.location, bytes.into()).await?;
                        Arc::new(memory)
                    }
                    None => store,
                };
                format.infer_schema(&state, &store, &[object]).await
            })
        });
        // The decoder of Parquet 59 takes a length in the footer at its word and panics where it is beyond the file.
        let found = finding.await.map_err(|_panic| {
            Error::new(
                ErrorKind::MalformedData,
                format!("{} is not valid Parquet, or is cut off", file.location),
            )
        })?;
        let schema = found.map_err(planning)?;
        Ok(Facts::parquet(Some(schema), self.parquet_reason()))
    }

    /// Why a file is taken to be Parquet: its reader then finds out whether it is.
    const fn parquet_reason(&self) -> &'static str {
        match self.spec.format {
            Some(_) => "declared",
            None => "the name or the first bytes say it, and its footer can be read",
        }
    }

    fn info(
        &self,
        files: &[&ObjectMeta],
        first: &Facts,
        columns: &Schema,
        partitions: &[(String, datafusion::arrow::datatypes::DataType)],
    ) -> TableInfo {
        let named = |(name, kind): (&String, String)| (name.clone(), kind);
        let delimited = first.is_delimited();
        let partitions: Vec<_> = partitions
            .iter()
            .map(|(name, kind)| named((name, schema::type_name(kind))))
            .collect();
        let own = columns
            .fields()
            .iter()
            .map(|field| named((field.name(), schema::type_name(field.data_type()))));
        TableInfo {
            table: self.name().to_owned(),
            files: files.len(),
            bytes: files.iter().map(|file| file.size).sum(),
            format: first.format.to_string(),
            compression: first.compression.to_string(),
            encoding: first.is_text().then(|| first.encoding.name().to_owned()),
            delimiter: delimited
                .then(|| String::from_utf8_lossy(first.csv.dialect.delimiter.bytes()).into_owned()),
            header: delimited.then_some(matches!(first.csv.header, Header::Names(_))),
            dialect: if delimited {
                first.csv.rare()
            } else {
                Vec::new()
            },
            columns: own.chain(partitions.iter().cloned()).collect(),
            partitions,
            unlisted: Vec::new(),
            absent: Vec::new(),
            evidence: first.evidence.clone(),
        }
    }
}

/// Up to `most` of the files: first, last and evenly between.
fn sample<'a>(files: &[&'a ObjectMeta], most: usize) -> Vec<&'a ObjectMeta> {
    if files.len() <= most {
        return files.to_vec();
    }
    if most == 1 {
        return files[..1].to_vec();
    }
    (0..most)
        .map(|step| files[step * (files.len() - 1) / (most - 1)])
        .collect()
}
