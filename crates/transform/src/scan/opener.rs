//! Reads one file from its start to its end: head, rest, decompression, decoding, rows.

use std::{collections::VecDeque, io, sync::Arc};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    common::DataFusionError,
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileOpenFuture, FileOpener},
    },
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};

use super::{
    TableScan,
    head::{self, HEAD_BYTES, Head},
    inspect::{self, Facts},
};
use crate::{
    Error, ErrorKind,
    formats::{
        Decode,
        bytes::{ByteStream, Transcoder, decompress},
        misfit::Misfits,
    },
};

/// Opens the files of one table for one scan.
#[derive(Debug, Clone)]
pub(crate) struct RowsOpener {
    pub(crate) scan: Arc<TableScan>,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) table: SchemaRef,
    pub(crate) wanted: Vec<usize>,
    pub(crate) batch_rows: usize,
}

impl FileOpener for RowsOpener {
    fn open(&self, file: PartitionedFile) -> datafusion::common::Result<FileOpenFuture> {
        if file.range.is_some() {
            return Err(external(Error::new(
                ErrorKind::Internal,
                "a file was to be read in part",
            )));
        }
        let opener = self.clone();
        Ok(Box::pin(async move { opener.rows(file.object_meta).await }))
    }
}

type Rows = BoxStream<'static, datafusion::common::Result<RecordBatch>>;

impl RowsOpener {
    async fn rows(self, file: ObjectMeta) -> datafusion::common::Result<Rows> {
        let path = file.location.clone();
        let head = match self.scan.heads.get(&path) {
            Some(head) => Some(head),
            None if self.scan.known(&path).is_none() => {
                Some(head::read(self.store.as_ref(), &file, HEAD_BYTES).await?)
            }
            None => None,
        };
        let facts = match (self.scan.known(&path), &head) {
            (Some(facts), _) => facts,
            (None, Some(head)) => {
                let found = inspect::facts(&self.scan.spec, path.as_ref(), head).await;
                Arc::new(found.map_err(external)?.0)
            }
            (None, None) => {
                let error = Error::new(ErrorKind::Internal, "a file was not looked into");
                return Err(external(error));
            }
        };
        let misfits = Misfits {
            on_error: self.scan.spec.on_error,
            file: path.as_ref().into(),
            counts: Arc::clone(&self.scan.counts),
        };
        let decoder = facts
            .decoder(&self.table, &self.wanted, misfits.clone(), self.batch_rows)
            .map_err(external)?;
        let bytes = bytes_of(Arc::clone(&self.store), &file, head).await?;
        let reading = Reading {
            bytes: decompress(bytes, facts.compression),
            transcoder: facts.is_text().then(|| Transcoder::new(facts.encoding)),
            facts,
            decoder,
            misfits,
            ready: VecDeque::new(),
            ended: false,
        };
        Ok(futures::stream::try_unfold(reading, Reading::next).boxed())
    }
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

/// A file that is being read.
struct Reading {
    bytes: ByteStream,
    facts: Arc<Facts>,
    transcoder: Option<Transcoder>,
    decoder: Box<dyn Decode>,
    misfits: Misfits,
    ready: VecDeque<RecordBatch>,
    ended: bool,
}

impl Reading {
    async fn next(mut self) -> datafusion::common::Result<Option<(RecordBatch, Self)>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some((batch, self)));
            }
            if self.ended {
                return Ok(None);
            }
            match self.bytes.next().await {
                Some(Ok(bytes)) => self.take(&bytes, false).map_err(external)?,
                Some(Err(error)) => return Err(self.failed(error)),
                None => {
                    self.ended = true;
                    self.take(&[], true).map_err(external)?;
                }
            }
            // Decoding takes long enough for others to want their turn.
            tokio::task::consume_budget().await;
        }
    }

    fn take(&mut self, bytes: &[u8], last: bool) -> Result<(), Error> {
        let mut out = Vec::new();
        let text = match &mut self.transcoder {
            Some(transcoder) => {
                let encoding = transcoder.encoding().name();
                transcoder.push(bytes, last).ok_or_else(|| {
                    self.misfits
                        .error(format_args!("is not valid {encoding}: set `encoding`"))
                })?
            }
            None => bytes,
        };
        self.decoder.push(text, &mut out)?;
        if last {
            self.decoder.finish(&mut out)?;
        }
        self.ready.extend(out);
        Ok(())
    }

    fn failed(&self, error: io::Error) -> DataFusionError {
        match error.downcast::<object_store::Error>() {
            Ok(store) => store.into(),
            Err(_) => external(self.misfits.error(inspect::broken(self.facts.compression))),
        }
    }
}

/// An error of ours on its way through the engine.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
