//! Laying the files into a bucket's folder.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::row::{CALLERS, Row};
use super::text::Format;
use super::{customers, parquet, text};
use crate::error::{Error, ErrorKind};

/// What sample data to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleSettings {
    /// How many conversations.
    pub rows: u64,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// How many of the callers are known customers, at most.
    pub customers: u64,
    /// The day of the conversations, and the name of their folder.
    pub day: NaiveDate,
    /// The bucket.
    pub bucket: String,
}

impl Default for SampleSettings {
    fn default() -> Self {
        Self {
            rows: 500_000,
            seed: 42,
            customers: 5_000,
            day: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap_or_default(),
            bucket: "genesys-data-lake".to_owned(),
        }
    }
}

/// One file that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFile {
    /// Its key in the bucket.
    pub key: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How many rows it holds, a header not counted.
    pub rows: u64,
}

/// All that was made, and values that are sure to be found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFiles {
    /// The bucket.
    pub bucket: String,
    /// The day of the conversations.
    pub day: NaiveDate,
    /// The conversations as CSV.
    pub csv: SampleFile,
    /// The conversations as JSON lines.
    pub ndjson: SampleFile,
    /// The conversations as one JSON array.
    pub json: SampleFile,
    /// The conversations as Parquet.
    pub parquet: SampleFile,
    /// The customers as CSV.
    pub customers: SampleFile,
    /// The agent of the first conversation.
    pub example_agent_id: String,
    /// The caller of the first conversation, who is also the first customer.
    pub example_ani: String,
}

/// Makes `exports/{day}/conversation_metrics.{csv,ndjson,json,parquet}` and
/// `exports/customers.csv` in the bucket's folder under `root`.
///
/// # Errors
///
/// [`ErrorKind::Folder`] when a file cannot be written.
pub fn write(root: &Path, settings: &SampleSettings) -> Result<SampleFiles, Error> {
    let maker = Maker { root, settings };
    let metrics = |ending: &str| format!("exports/{}/conversation_metrics.{ending}", settings.day);
    // Two threads: the machine that shows a demo has at least that many.
    let (text, rest) = std::thread::scope(|scope| {
        let texts = scope.spawn(|| {
            Ok::<_, Error>((
                maker.text(&metrics("csv"), Format::Csv)?,
                maker.text(&metrics("ndjson"), Format::Ndjson)?,
            ))
        });
        let rest = (|| {
            Ok::<_, Error>((
                maker.text(&metrics("json"), Format::JsonArray)?,
                maker.parquet(&metrics("parquet"))?,
                maker.customers("exports/customers.csv")?,
            ))
        })();
        let texts = texts
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (texts, rest)
    });
    let (csv, ndjson) = text?;
    let (json, parquet, customers) = rest?;
    let first = Row::new(settings.seed, 0, settings.rows);
    Ok(SampleFiles {
        bucket: settings.bucket.clone(),
        day: settings.day,
        csv,
        ndjson,
        json,
        parquet,
        customers,
        example_agent_id: first.agent_id().to_string(),
        example_ani: first.ani().to_string(),
    })
}

struct Maker<'a> {
    root: &'a Path,
    settings: &'a SampleSettings,
}

impl Maker<'_> {
    fn rows(&self) -> impl Iterator<Item = Row> + use<> {
        let (seed, rows) = (self.settings.seed, self.settings.rows);
        (0..rows).map(move |number| Row::new(seed, number, rows))
    }

    fn text(&self, key: &str, format: Format) -> Result<SampleFile, Error> {
        self.file(key, self.settings.rows, |out| {
            text::write(out, format, self.settings.day, self.rows())
        })
    }

    fn parquet(&self, key: &str) -> Result<SampleFile, Error> {
        self.file(key, self.settings.rows, |out| {
            parquet::write(out, self.settings.day, self.rows()).map_err(io::Error::other)
        })
    }

    /// The first callers of the day become customers, so that each of them is found there.
    fn customers(&self, key: &str) -> Result<SampleFile, Error> {
        let wanted = usize::try_from(self.settings.customers.min(CALLERS)).unwrap_or(0);
        let mut seen = HashSet::new();
        let mut callers = Vec::new();
        for row in self.rows() {
            if callers.len() >= wanted {
                break;
            }
            if seen.insert(row.caller) {
                callers.push(row.caller);
            }
        }
        self.file(key, callers.len() as u64, |out| {
            customers::write(out, self.settings.seed, &callers)
        })
    }

    /// Writes beside the place and then moves into it, so that a reader never sees half a file.
    fn file(
        &self,
        key: &str,
        rows: u64,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<SampleFile, Error> {
        let path = self.root.join(&self.settings.bucket).join(key);
        let attempt = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let partial = path.with_file_name(format!(
                ".{}.partial",
                path.file_name().unwrap_or_default().to_string_lossy()
            ));
            let mut out = BufWriter::with_capacity(1 << 20, File::create(&partial)?);
            write(&mut out)?;
            out.flush()?;
            drop(out);
            std::fs::rename(&partial, &path)?;
            std::fs::metadata(&path)
        };
        let metadata = attempt().map_err(|source| {
            Error::new(
                ErrorKind::Folder,
                format!("the sample file {} cannot be written", path.display()),
            )
            .with_source(source)
        })?;
        Ok(SampleFile {
            key: key.to_owned(),
            bytes: metadata.len(),
            path: path.clone(),
            rows,
        })
    }
}
