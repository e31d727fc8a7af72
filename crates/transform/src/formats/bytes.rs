//! From the bytes of an object to plain bytes: decompressed while they stream, and text decoded to UTF-8.

use std::io;

use async_compression::tokio::bufread::{BzDecoder, XzDecoder, ZstdDecoder};
use bytes::{Buf, Bytes};
use datafusion::common::runtime::SpawnedTask;
use encoding_rs::{DecoderResult, Encoding, UTF_8};
use flowlake_gunzip::{Gunzip, Step};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::Compression;

/// Bytes that are decompressed at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that are decompressed before they are asked for.
const PIECES_AHEAD: usize = 8;

/// Memory that xz may take: its largest preset has a dictionary of 64 MiB.
const XZ_MEMORY_BYTES: u64 = 72 << 20;

/// Bytes of a file, or why there are no more.
pub(crate) type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Decompresses; a file may be of several members, frames or streams, one after the other.
pub(crate) fn decompress(bytes: ByteStream, compression: Compression) -> ByteStream {
    let reader = StreamReader::new(bytes);
    match compression {
        Compression::None => reader.into_inner(),
        Compression::Gzip => gunzip(reader.into_inner()),
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::new(reader);
            decoder.multiple_members(true);
            ReaderStream::with_capacity(decoder, PIECE_BYTES).boxed()
        }
        Compression::Bzip2 => {
            let mut decoder = BzDecoder::new(reader);
            decoder.multiple_members(true);
            ReaderStream::with_capacity(decoder, PIECE_BYTES).boxed()
        }
        Compression::Xz => {
            let mut decoder = XzDecoder::with_mem_limit(reader, XZ_MEMORY_BYTES);
            decoder.multiple_members(true);
            ReaderStream::with_capacity(decoder, PIECE_BYTES).boxed()
        }
    }
}

fn gunzip(bytes: ByteStream) -> ByteStream {
    stream::unfold(Some((bytes, Gunzip::new())), |state| async {
        let (mut bytes, mut gunzip) = state?;
        loop {
            match gunzip.step() {
                Step::Piece(piece) => return Some((Ok(piece), Some((bytes, gunzip)))),
                Step::NeedsInput => match bytes.next().await {
                    Some(Ok(more)) => gunzip.push(&more),
                    Some(Err(error)) => return Some((Err(error), None)),
                    None => gunzip.end(),
                },
                Step::End => return None,
                Step::Corrupt => return Some((Err(io::ErrorKind::InvalidData.into()), None)),
            }
        }
    })
    .boxed()
}

/// As [`decompress`], in a thread of its own that runs ahead of the reader. Dropping the stream stops it.
///
/// One thread decompresses a file whatever the number of processors, so that thread is never to wait for a turn among the
/// tasks that decode its text.
pub(crate) fn decompress_ahead(bytes: ByteStream, compression: Compression) -> ByteStream {
    if compression == Compression::None {
        return bytes;
    }
    let mut plain = decompress(bytes, compression);
    let (pieces, received) = mpsc::channel(PIECES_AHEAD);
    let runtime = Handle::current();
    let task = SpawnedTask::spawn_blocking(move || {
        let send_all = async {
            while let Some(piece) = plain.next().await {
                if pieces.send(piece).await.is_err() {
                    return;
                }
            }
        };
        runtime.block_on(async {
            tokio::select! {
                () = send_all => {}
                () = pieces.closed() => {}
            }
        });
    });
    stream::unfold(Some((received, task)), |state| async {
        let (mut received, task) = state?;
        if let Some(piece) = received.recv().await {
            return Some((piece, Some((received, task))));
        }
        // A decoder that broke down must not look like the end of the file.
        let broken_down = task.join().await.err()?;
        Some((Err(io::Error::other(broken_down)), None))
    })
    .boxed()
}

/// Decodes text to UTF-8, and takes a byte order mark off.
///
/// Text that is UTF-8 already is passed on as it is: the formats check it, since they know the line.
pub(crate) struct Transcoder {
    encoding: &'static Encoding,
    decoder: Option<encoding_rs::Decoder>,
    /// The first bytes, until there are enough to tell a byte order mark.
    start: Option<Bytes>,
}

impl Transcoder {
    pub(crate) fn new(encoding: &'static Encoding) -> Self {
        let other = encoding != UTF_8;
        Self {
            encoding,
            decoder: other.then(|| encoding.new_decoder_with_bom_removal()),
            start: (!other).then(Bytes::new),
        }
    }

    /// The text of the next bytes; `None` when they are none in this encoding.
    pub(crate) fn push(&mut self, bytes: Bytes, last: bool) -> Option<Bytes> {
        let Some(decoder) = &mut self.decoder else {
            return Some(self.without_mark(bytes, last));
        };
        let mut text = vec![0; decoder.max_utf8_buffer_length_without_replacement(bytes.len())?];
        let (result, _read, written) =
            decoder.decode_to_utf8_without_replacement(&bytes, &mut text, last);
        text.truncate(written);
        (result == DecoderResult::InputEmpty).then(|| text.into())
    }

    fn without_mark(&mut self, bytes: Bytes, last: bool) -> Bytes {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let mut text = match self.start.take() {
            None => return bytes,
            Some(start) if start.is_empty() => bytes,
            Some(start) => [start, bytes].concat().into(),
        };
        if text.len() < MARK.len() && MARK.starts_with(&text) && !last {
            self.start = Some(text);
            return Bytes::new();
        }
        if text.starts_with(MARK) {
            text.advance(MARK.len());
        }
        text
    }

    pub(crate) fn encoding(&self) -> &'static Encoding {
        self.encoding
    }
}
