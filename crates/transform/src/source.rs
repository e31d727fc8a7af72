//! From a declared table to a table of the engine.

use std::sync::Arc;

use datafusion::{
    catalog::Session,
    datasource::{
        file_format::{
            FileFormat, csv::CsvFormat, file_compression_type::FileCompressionType,
            json::JsonFormat, parquet::ParquetFormat,
        },
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
    },
};
use object_store::{GetOptions, GetRange, ObjectStore, path::Path};

use crate::{Error, ErrorKind, Format, TableLocation, TableSpec, error::planning};

/// Bytes of a file that its format is told from.
const PEEK_BYTES: u64 = 1024;

/// A table, and whether its files may be cut into ranges that are read side by side.
pub(crate) struct Source {
    pub(crate) table: Arc<ListingTable>,
    pub(crate) divisible: bool,
}

/// Makes the table: finds the files' format, and their schema unless a format carries it itself.
pub(crate) async fn table(
    session: &dyn Session,
    store: &dyn ObjectStore,
    spec: &TableSpec,
    location: &TableLocation,
) -> Result<Source, Error> {
    let url = format!(
        "{}/{}",
        location.store_url.as_str().trim_end_matches('/'),
        location.key
    );
    let url = ListingTableUrl::parse(&url).map_err(planning)?;
    let (named, compression) = by_name(&location.key);
    let format = match spec.format.or(named) {
        Some(Format::Json)
            if spec.format.is_none()
                && location.exact
                && compression == FileCompressionType::UNCOMPRESSED =>
        {
            json_kind(store, &location.path).await?
        }
        Some(format) => format,
        None => {
            let table = &location.table;
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                format!(
                    "the name of table `{table}`'s files does not tell their format: set `format` (csv, tsv, ndjson, json or parquet)"
                ),
            ));
        }
    };
    let options =
        ListingOptions::new(file_format(spec, format, compression)).with_file_extension("");
    let schema = options
        .infer_schema(session, &url)
        .await
        .map_err(planning)?;
    if schema.fields().is_empty() {
        return Err(Error::new(
            ErrorKind::NoMatchingFiles,
            format!("no file with columns lies at {}", location.path),
        ));
    }
    let config = ListingTableConfig::new(url)
        .with_listing_options(options)
        .with_schema(schema);
    let table = Arc::new(ListingTable::try_new(config).map_err(planning)?);
    Ok(Source {
        table,
        divisible: format != Format::Json,
    })
}

/// Format and compression by the ending of the name: `calls.csv.gz`.
fn by_name(key: &str) -> (Option<Format>, FileCompressionType) {
    let name = key
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let compressions = [
        (".gz", FileCompressionType::GZIP),
        (".zst", FileCompressionType::ZSTD),
        (".bz2", FileCompressionType::BZIP2),
        (".xz", FileCompressionType::XZ),
    ];
    let compressed = compressions
        .into_iter()
        .find_map(|(ending, kind)| Some((name.strip_suffix(ending)?, kind)));
    let (name, compression) =
        compressed.unwrap_or((name.as_str(), FileCompressionType::UNCOMPRESSED));
    let format = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => Some(Format::Csv),
        Some("tsv") => Some(Format::Tsv),
        Some("ndjson" | "jsonl") => Some(Format::Ndjson),
        Some("json") => Some(Format::Json),
        Some("parquet") => Some(Format::Parquet),
        _ => None,
    };
    (format, compression)
}

/// Files named `.json` are arrays or lines: the first character tells.
async fn json_kind(store: &dyn ObjectStore, path: &Path) -> Result<Format, Error> {
    let options = GetOptions {
        range: Some(GetRange::Bounded(0..PEEK_BYTES)),
        ..GetOptions::default()
    };
    let head = async { store.get_opts(path, options).await?.bytes().await }.await;
    let head = head.map_err(|error| planning(error.into()))?;
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(if first == Some(&b'[') {
        Format::Json
    } else {
        Format::Ndjson
    })
}

fn file_format(
    spec: &TableSpec,
    format: Format,
    compression: FileCompressionType,
) -> Arc<dyn FileFormat> {
    match format {
        Format::Csv | Format::Tsv => {
            let delimiter =
                spec.delimiter
                    .unwrap_or(if format == Format::Tsv { '\t' } else { ',' });
            Arc::new(
                CsvFormat::default()
                    .with_has_header(spec.header)
                    .with_delimiter(ascii(delimiter))
                    .with_quote(ascii(spec.quote))
                    .with_escape(spec.escape.map(ascii))
                    .with_comment(spec.comment.map(ascii))
                    .with_schema_infer_max_rec(spec.infer_rows)
                    // A file is read as one piece: where it is cut anywhere else, a line end in quotes would look like the end of a record.
                    .with_newlines_in_values(true)
                    .with_file_compression_type(compression),
            )
        }
        Format::Ndjson | Format::Json => Arc::new(
            JsonFormat::default()
                .with_newline_delimited(format == Format::Ndjson)
                .with_schema_infer_max_rec(spec.infer_rows)
                .with_file_compression_type(compression),
        ),
        Format::Parquet => Arc::new(ParquetFormat::default()),
    }
}

/// A character that [`TableSpec::validate`] has found to be ASCII.
fn ascii(character: char) -> u8 {
    u8::try_from(character).unwrap_or(b'?')
}

#[cfg(test)]
mod tests {
    use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

    use super::by_name;
    use crate::Format;

    #[test]
    fn names_tell_format_and_compression() {
        assert_eq!(
            by_name("a/calls.CSV"),
            (Some(Format::Csv), FileCompressionType::UNCOMPRESSED)
        );
        assert_eq!(
            by_name("a/calls.ndjson.gz"),
            (Some(Format::Ndjson), FileCompressionType::GZIP)
        );
        assert_eq!(
            by_name("a.csv/calls"),
            (None, FileCompressionType::UNCOMPRESSED)
        );
        assert_eq!(by_name("a/*.parquet").0, Some(Format::Parquet));
    }
}
