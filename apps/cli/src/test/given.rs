//! What a case gives its tables, as the bytes of the objects that the action reads.
//!
//! Text for a table of text is the object, as it is. Rows are written as the table's files are: in its dialect, as JSON, as Parquet.

mod dialect;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use bytes::Bytes;
use bytesize::ByteSize;
use chrono::{DateTime, Utc};
use flowlake_data_action::{
    Action, ActionError, EngineChoice, LOCAL_FILES, Question, RowFormat, TestBench, TestObjects,
    nearest,
};
use flowlake_transform::{
    ColumnType, Compression, Format, Limits, Location, TableLocation, TableSpec,
};
use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{
    aligned::{self, Cell, Grid},
    file::{Case, Content, TableData},
};

/// Makes the objects of cases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Giver<'a> {
    pub(super) bench: &'a TestBench,
    pub(super) action: &'a Action,
    /// The folder of the test file.
    pub(super) folder: &'a Path,
}

/// The bucket and the key of an object.
type Place = (String, String);

impl Giver<'_> {
    /// The objects of a case, whose tables lie at these locations.
    pub(super) async fn objects(
        self,
        case: &Case,
        locations: &[TableLocation],
    ) -> Result<TestObjects, String> {
        let specs = &self.action.definition().tables;
        let mut objects: BTreeMap<Place, Bytes> = BTreeMap::new();
        for (table, data) in &case.tables {
            let Some(spec) = specs.get(table) else {
                let meant = nearest(table, specs.keys());
                let meant = meant.map_or_else(
                    || format!("known are {}", names(specs.keys())),
                    |known| format!("did you mean `{known}`?"),
                );
                return Err(format!("the action has no table `{table}`; {meant}"));
            };
            let places = locations.iter().filter(|place| place.table == *table);
            let places: Vec<&Location> = places.map(|place| &place.location).collect();
            let placed = self.placed(&places, data);
            let placed = placed.map_err(|what| format!("table `{table}`: {what}"))?;
            for (object, data) in placed {
                let content = self.content(&object.1, spec, data).await;
                let content =
                    content.map_err(|what| format!("table `{table}`, {}: {what}", object.1))?;
                let twice = objects.insert(object.clone(), content.clone());
                if twice.is_some_and(|other| other != content) {
                    let (bucket, key) = object;
                    return Err(format!(
                        "two tables give s3://{bucket}/{key}, and not the same content"
                    ));
                }
            }
        }
        for TableLocation { table, location } in locations {
            let mut given = objects.keys();
            let is_shared =
                given.any(|(bucket, key)| bucket == location.bucket() && location.covers(key));
            if !is_shared && !case.tables.contains_key(table) {
                return Err(format!(
                    "table `{table}` has no data: give it rows under [case.tables], or `files = {{}}` where there is nothing at {location}"
                ));
            }
        }
        Ok(TestObjects::new(objects))
    }

    /// Which object each content is of.
    fn placed<'d>(
        self,
        places: &[&Location],
        data: &'d TableData,
    ) -> Result<Vec<(Place, &'d TableData)>, String> {
        if let Some(files) = &data.files {
            return files
                .iter()
                .map(|(uri, data)| Ok((object(places, uri)?, data)))
                .collect();
        }
        let &[place] = places else {
            return Err("it has several uris: name each object under `files`".to_owned());
        };
        let key = match (place.key(), place.list_prefix()) {
            (Some(key), _) => key.to_owned(),
            // A prefix names all that lies below it.
            (None, Some(prefix)) if prefix == place.as_written() => format!("{prefix}data"),
            _ => {
                return Err(format!(
                    "{place} is a pattern: name each object under `files`"
                ));
            }
        };
        Ok(vec![((place.bucket().to_owned(), key), data)])
    }

    /// The bytes of one object.
    async fn content(self, key: &str, spec: &TableSpec, data: &TableData) -> Result<Bytes, String> {
        let (format, compression) = written_as(key, spec);
        let Some(content) = data.content.first() else {
            return Err("an object has content, and no `files` of its own".to_owned());
        };
        let bytes = match content {
            Content::File(path) => {
                let path = self.folder.join(path);
                let read = tokio::fs::read(&path).await;
                // A fixture is compressed as it is to be read.
                return read
                    .map(Bytes::from)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()));
            }
            content => self.text(content, format, spec, &data.types).await?,
        };
        dialect::check_encoding(spec, &bytes)?;
        compressed(bytes, compression).await
    }

    /// What is written in the test file, as a table's files are written.
    async fn text(
        self,
        content: &Content,
        format: Option<Format>,
        spec: &TableSpec,
        types: &BTreeMap<String, ColumnType>,
    ) -> Result<Vec<u8>, String> {
        let encoding = match format {
            None | Some(Format::Csv | Format::Tsv) => None,
            Some(Format::Ndjson) => Some(RowFormat::Ndjson),
            Some(Format::Json) => Some(RowFormat::Json),
            Some(Format::Parquet) => Some(RowFormat::Parquet),
            Some(Format::Arrow) => Some(RowFormat::Arrow),
            Some(Format::Avro) => {
                return Err("its files are Avro: give one with `file`".to_owned());
            }
        };
        match (content, encoding) {
            (Content::Json(text), None | Some(RowFormat::Json))
            | (Content::Ndjson(text), Some(RowFormat::Ndjson))
            | (Content::Csv(text), None) => Ok(text.clone().into_bytes()),
            (Content::Ndjson(text), None) if format.is_none() => Ok(text.clone().into_bytes()),
            (Content::Rows(text), None) => {
                let grid = aligned::parse(text)?;
                let is_tsv = format == Some(Format::Tsv);
                dialect::written(&grid, spec, is_tsv)
            }
            (Content::Rows(text), Some(encoding)) => {
                let grid = aligned::parse(text)?;
                let mut given = dialect::plain();
                given.types = text_columns(&grid).collect();
                given.types.extend(types.clone());
                let text = dialect::written(&grid, &given, false)?;
                self.encoded(given, text, encoding, spec).await
            }
            (Content::Csv(text) | Content::Ndjson(text), Some(encoding)) => {
                let mut given = TableSpec::at("rows");
                given.format = Some(match content {
                    Content::Csv(_) => Format::Csv,
                    _ => Format::Ndjson,
                });
                given.types.clone_from(types);
                let text = text.clone().into_bytes();
                self.encoded(given, text, encoding, spec).await
            }
            (Content::Ndjson(_), None) => {
                Err("its files are delimited text: give `rows` or `csv`".to_owned())
            }
            (Content::Json(_), _) => {
                Err("its files are no JSON documents: give `rows`, `csv` or `ndjson`".to_owned())
            }
            (Content::File(_), _) => Err("a file is taken as it is".to_owned()),
        }
    }

    /// The rows of a text in another format, read and written by the engine.
    async fn encoded(
        self,
        given: TableSpec,
        text: Vec<u8>,
        format: RowFormat,
        spec: &TableSpec,
    ) -> Result<Vec<u8>, String> {
        let question = Question {
            sql: "SELECT * FROM given".to_owned(),
            tables: BTreeMap::from([("given".to_owned(), given)]),
            params: BTreeMap::new(),
            limits: Limits {
                timeout: Duration::from_secs(60),
                max_rows: u64::MAX,
                max_output_bytes: ByteSize(u64::MAX),
                ..Limits::default()
            },
            engine: EngineChoice::default(),
            folder: PathBuf::from("/"),
        };
        let told = |error: ActionError| error.message().to_owned();
        let action = Arc::new(Action::ask(question).map_err(told)?);
        let object = (LOCAL_FILES.to_owned(), "rows".to_owned());
        let objects = TestObjects::new(BTreeMap::from([(object, text.into())]));
        let (params, now) = (serde_json::Map::new(), DateTime::<Utc>::UNIX_EPOCH);
        let run = self.bench.run(&action, &params, now, &objects, format);
        let run = run.await.map_err(told)?;
        let bytes = match format {
            RowFormat::Json => run.data.get().as_bytes().to_vec(),
            _ => run.encoded,
        };
        Ok(match (&spec.json_pointer, format) {
            (Some(pointer), RowFormat::Json) => below(pointer, bytes),
            _ => bytes,
        })
    }
}

/// The object of a uri, which a location of the table has to name.
fn object(places: &[&Location], uri: &str) -> Result<Place, String> {
    let parts = uri
        .strip_prefix("s3://")
        .and_then(|uri| uri.split_once('/'));
    let (bucket, key) =
        parts.ok_or_else(|| format!("`{uri}` under `files` is no s3://bucket/key"))?;
    let mut places = places.iter();
    match places.any(|place| place.bucket() == bucket && place.covers(key)) {
        true => Ok((bucket.to_owned(), key.to_owned())),
        false => Err(format!("no uri of the table names {uri}")),
    }
}

/// Format and compression of an object, as far as the table or the key says them.
fn written_as(key: &str, spec: &TableSpec) -> (Option<Format>, Compression) {
    let name = key.rsplit('/').next().unwrap_or_default().to_lowercase();
    let ends = [
        (".gz", Compression::Gzip),
        (".zst", Compression::Zstd),
        (".bz2", Compression::Bzip2),
        (".xz", Compression::Xz),
    ];
    let found = ends
        .iter()
        .find_map(|(end, kind)| Some((name.strip_suffix(end)?, *kind)));
    let (name, of_name) = found.unwrap_or((name.as_str(), Compression::None));
    let format = spec.format.or_else(|| {
        if spec.json_pointer.is_some() {
            return Some(Format::Json);
        }
        match name.rsplit('.').next().unwrap_or_default() {
            "csv" => Some(Format::Csv),
            "tsv" => Some(Format::Tsv),
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "json" => Some(Format::Json),
            "parquet" => Some(Format::Parquet),
            "avro" => Some(Format::Avro),
            "arrow" | "feather" => Some(Format::Arrow),
            _ => None,
        }
    });
    (format, spec.compression.unwrap_or(of_name))
}

/// Columns with a cell in quotes hold text, whatever it looks like.
fn text_columns(grid: &Grid) -> impl Iterator<Item = (String, ColumnType)> {
    let columns = grid.columns.iter().enumerate();
    let columns = columns.filter(|(column, _)| {
        let mut rows = grid.rows.iter();
        rows.any(|row| matches!(row[*column], Cell::Text(_)))
    });
    columns.filter_map(|(_, name)| {
        let text = serde_json::from_value(json!("string")).ok()?;
        Some((name.clone(), text))
    })
}

/// A document with an array where a pointer says.
fn below(pointer: &str, array: Vec<u8>) -> Vec<u8> {
    let names = pointer.strip_prefix('/').unwrap_or(pointer);
    names.rsplit('/').fold(array, |inner, name| {
        let name = json!(name.replace("~1", "/").replace("~0", "~")).to_string();
        [format!("{{{name}:").as_bytes(), &inner, b"}"].concat()
    })
}

async fn compressed(bytes: Vec<u8>, compression: Compression) -> Result<Bytes, String> {
    async fn all(mut encoder: impl AsyncWrite + Unpin, bytes: &[u8]) -> std::io::Result<()> {
        encoder.write_all(bytes).await?;
        encoder.shutdown().await
    }
    let mut written = Vec::new();
    let done = match compression {
        Compression::None => return Ok(bytes.into()),
        Compression::Gzip => all(GzipEncoder::new(&mut written), &bytes).await,
        Compression::Zstd => all(ZstdEncoder::new(&mut written), &bytes).await,
        Compression::Bzip2 => all(BzEncoder::new(&mut written), &bytes).await,
        Compression::Xz => all(XzEncoder::new(&mut written), &bytes).await,
    };
    done.map_err(|error| error.to_string())?;
    Ok(written.into())
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
