//! Reads one file from its start to its end: head, rest, decompression, decoding, rows. Of a part of a file, see `part`.

use std::{io, sync::Arc};

use bytes::Bytes;
#[cfg(feature = "cluster")]
use datafusion::datasource::listing::FileRange;
use datafusion::{
    arrow::array::RecordBatch,
    common::{DataFusionError, runtime::SpawnedTask},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileOpenFuture, FileOpener},
    },
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, path::Path};

#[cfg(feature = "cluster")]
use super::part::Part;
use super::{
    TableScan,
    ahead::Ahead,
    chunks::{self, ChunkReading},
    head::{HEAD_BYTES, Head, WHOLE_BYTES},
    inspect::{self, Facts},
    parquet::{TrustedReaders, int96},
    parquet_rows,
    reading::{PIECE_BYTES, Reading, Text},
};
use crate::{
    Compression, Error, ErrorKind, Format, OnError,
    formats::{
        bytes::{ByteStream, decompress_ahead},
        chunk::Asked,
        detect,
        misfit::Misfits,
        sieve::Sieve,
    },
};

/// Opens the files of one table for one scan.
#[derive(Debug, Clone)]
pub(crate) struct RowsOpener {
    pub(crate) scan: Arc<TableScan>,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) ahead: Arc<Ahead>,
    pub(crate) partition: usize,
    pub(crate) asked: Asked,
    pub(crate) sieve: Arc<Sieve>,
    /// Chunks of one file that are decoded at a time.
    pub(crate) chunks: usize,
    /// Bytes of each of them.
    pub(crate) chunk_bytes: usize,
}

impl FileOpener for RowsOpener {
    fn open(&self, file: PartitionedFile) -> datafusion::common::Result<FileOpenFuture> {
        let opener = self.clone();
        match file.range {
            None => Ok(Box::pin(async move { opener.rows(file.object_meta).await })),
            #[cfg(feature = "cluster")]
            Some(range) => Ok(Box::pin(async move {
                opener.part(&file.object_meta, range).await
            })),
            #[cfg(not(feature = "cluster"))]
            Some(_) => Err(external(Error::new(
                ErrorKind::Internal,
                "a file was to be read in part",
            ))),
        }
    }
}

pub(crate) type Rows = BoxStream<'static, datafusion::common::Result<RecordBatch>>;

impl RowsOpener {
    async fn rows(self, file: ObjectMeta) -> datafusion::common::Result<Rows> {
        let path = file.location.clone();
        let misfits = self.misfits(&path);
        let spec = &self.scan.spec;
        let own_parquet = spec.on_error != OnError::Fail;
        let named = spec.format.or_else(|| detect::by_name(path.as_ref()).0);
        if own_parquet && named == Some(Format::Parquet) {
            return self.parquet_rows(&file, misfits).await;
        }
        let known = self.scan.known(&path);
        let head = match self.scan.heads.get(&path) {
            Some(head) => Some(head),
            None if known.is_none() || file.size <= WHOLE_BYTES => {
                Some(self.ahead.head(self.partition, &file).await?)
            }
            None => None,
        };
        let (facts, opened) = match (known, &head) {
            (Some(facts), None) => (facts, Opened::Stored),
            (known, Some(head)) => {
                let (opener, head, misfits) = (self.clone(), head.clone(), misfits.clone());
                let looking =
                    SpawnedTask::spawn_blocking(move || opener.look(&head, known, &misfits));
                let looked = looking.await.map_err(|_panicked| {
                    external(Error::new(
                        ErrorKind::Internal,
                        "a file could not be looked into",
                    ))
                })?;
                looked.map_err(external)?
            }
            (None, None) => {
                let error = Error::new(ErrorKind::Internal, "a file was not looked into");
                return Err(external(error));
            }
        };
        if own_parquet && facts.format == Format::Parquet {
            return self.parquet_rows(&file, misfits).await;
        }
        // An empty file says nothing about how the others are written.
        if file.size > 0 {
            let counts = &misfits.counts;
            counts.note_written(&misfits.file, || facts.lines());
        }
        let bytes = match opened {
            Opened::Rows(rows) => {
                return Ok(futures::stream::iter(rows.into_iter().map(Ok)).boxed());
            }
            Opened::Plain(plain) => futures::stream::once(async { Ok(plain) }).boxed(),
            Opened::Stored => {
                let bytes = bytes_of(Arc::clone(&self.store), &file, head).await?;
                decompress_ahead(bytes, facts.compression)
            }
        };
        let text = Text::new(bytes, &facts, misfits.clone());
        if facts.is_cut() {
            let setting = self.setting(misfits);
            return Ok(ChunkReading::new(text, facts, setting).rows());
        }
        let piece_bytes = if facts.is_text() {
            self.asked.piece_bytes()
        } else {
            PIECE_BYTES
        };
        let pool = &self.scan.parquet.pool;
        let decoder = facts.decoder(self.asked, misfits, pool);
        let decoder = decoder.map_err(external)?;
        let reading = Reading {
            text,
            decoder,
            piece_bytes,
        };
        Ok(reading.rows())
    }
}

impl RowsOpener {
    /// The rows of a part of a file.
    #[cfg(feature = "cluster")]
    async fn part(self, file: &ObjectMeta, range: FileRange) -> datafusion::common::Result<Rows> {
        let misfits = self.misfits(&file.location);
        let place = |place: i64| u64::try_from(place).unwrap_or_default();
        let range = place(range.start)..place(range.end);
        let part = Part::open(&self.scan, &self.store, file, range, &self.asked, &misfits);
        let part = part.await?;
        Ok(ChunkReading::of_part(part, self.setting(misfits)).rows())
    }

    fn misfits(&self, path: &Path) -> Misfits {
        Misfits {
            on_error: self.scan.spec.on_error,
            file: self.scan.name_of(path),
            counts: Arc::clone(self.scan.meter.misfits()),
        }
    }

    fn setting(self, misfits: Misfits) -> chunks::Setting {
        chunks::Setting {
            asked: self.asked,
            sieve: self.sieve,
            misfits,
            at_a_time: self.chunks,
            chunk_bytes: self.chunk_bytes,
        }
    }

    /// Looks into a head, unless the file is known, and decodes the rows if it is all of a small file with nothing unusual in it.
    fn look(
        &self,
        head: &Head,
        known: Option<Arc<Facts>>,
        misfits: &Misfits,
    ) -> Result<(Arc<Facts>, Opened), Error> {
        let beginning = head.beginning(HEAD_BYTES);
        let (facts, plain) = match known {
            Some(facts) => {
                let plain = inspect::decompressed(&beginning, facts.compression, misfits);
                (facts, plain)
            }
            None => {
                let spec = &self.scan.spec;
                let found = inspect::examine_here(
                    spec,
                    &misfits.file,
                    &beginning,
                    inspect::Looking::ForFormat,
                )?;
                (Arc::new(found.facts), found.plain)
            }
        };
        let is_plain = head.whole && facts.compression == Compression::None;
        let Some(plain) = plain.or_else(|| is_plain.then(|| head.bytes.clone())) else {
            return Ok((facts, Opened::Stored));
        };
        let is_small = plain.len() <= self.chunk_bytes;
        let mut space = self.scan.spaces.take();
        let rows = (facts.is_cut() && is_small)
            .then(|| {
                chunks::at_once(
                    &plain,
                    &facts,
                    &self.asked,
                    &self.sieve,
                    misfits,
                    &mut space,
                )
            })
            .flatten();
        self.scan.spaces.give(space);
        let opened = rows.map_or(Opened::Plain(plain), Opened::Rows);
        Ok((facts, opened))
    }

    async fn parquet_rows(
        self,
        file: &ObjectMeta,
        misfits: Misfits,
    ) -> datafusion::common::Result<Rows> {
        let written = ["format = \"parquet\"", "compression = \"none\""];
        let counts = &misfits.counts;
        counts.note_written(&misfits.file, || written.map(str::to_owned).into());
        let unit = int96::unit(&self.scan.spec);
        let readers = TrustedReaders::new(self.store, self.scan.parquet.clone(), unit);
        parquet_rows::rows(&readers, file, self.asked, misfits, unit).await
    }
}

/// How far a file was read when it was looked into.
enum Opened {
    /// To its end.
    Rows(Vec<RecordBatch>),
    /// All its bytes are there, decompressed.
    Plain(Bytes),
    /// No further than its head.
    Stored,
}

/// The bytes of the file, beginning with those that were read already.
async fn bytes_of(
    store: Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    head: Option<Head>,
) -> datafusion::common::Result<ByteStream> {
    let stored = |error: object_store::Error| io::Error::other(error);
    let Some(head) = head else {
        let all = store
            .get_opts(&file.location, GetOptions::default())
            .await?;
        return Ok(all.into_stream().map_err(stored).boxed());
    };
    let read = head.bytes.len() as u64;
    let first = futures::stream::once(async { Ok(head.bytes) });
    if head.whole {
        return Ok(first.boxed());
    }
    let options = GetOptions {
        range: Some(GetRange::Offset(read)),
        ..GetOptions::default()
    };
    let rest = store.get_opts(&file.location, options).await?;
    if rest.meta.e_tag != head.e_tag {
        return Err(object_store::Error::Precondition {
            path: file.location.to_string(),
            source: "the object was replaced between two requests".into(),
        }
        .into());
    }
    Ok(first.chain(rest.into_stream().map_err(stored)).boxed())
}

/// An error of ours on its way through the engine.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
