//! Any bytes as a file, in any pieces or chunks: they must be decoded the same way, without a panic.

use std::sync::Arc;

use datafusion::arrow::{
    array::RecordBatch,
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};

use crate::{
    Error, OnError,
    formats::{
        Decode,
        chunk::{Asked, Chunked},
        chunk_reader::{CsvStart, Cutter, Decoding, Joiner, Started},
        csv::{CsvOptions, Header},
        json::JsonDecoder,
        json_chunks::JsonChunks,
        json_split::JsonRows,
        misfit::Misfits,
        records::{Delimiter, Dialect},
    },
};

/// What decoding gave: rows as text, or the error; and what was skipped and nulled.
type Outcome = (Result<String, String>, u64, u64);

fn table() -> SchemaRef {
    let columns = [
        ("a", DataType::Int64),
        ("b", DataType::Utf8),
        ("c", DataType::Float64),
        ("d", DataType::Date32),
        ("f", DataType::Decimal128(10, 2)),
        ("g", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("h", DataType::Boolean),
        ("i", DataType::UInt8),
    ];
    let fields = columns.map(|(name, kind)| Field::new(name, kind, true));
    Arc::new(Schema::new(fields.to_vec()))
}

fn misfits(choice: u8) -> Misfits {
    Misfits {
        on_error: [OnError::Fail, OnError::Null, OnError::Skip][usize::from(choice) % 3],
        ..Misfits::lenient("f")
    }
}

fn asked(choice: u8) -> Asked {
    let all_must_fit = misfits(choice).on_error == OnError::Skip;
    Asked::new(
        table(),
        (0..table().fields().len()).collect(),
        all_must_fit,
        3,
    )
}

fn decode(decoder: &mut dyn Decode, misfits: &Misfits, data: &[u8], piece: usize) -> Outcome {
    let mut out: Vec<RecordBatch> = Vec::new();
    let result = data
        .chunks(piece.max(1))
        .try_for_each(|bytes| decoder.push(bytes, &mut out))
        .and_then(|()| decoder.finish(&mut out));
    outcome(result, &out, misfits)
}

/// Delimited text in pieces, by one reader.
fn decode_csv(options: &CsvOptions, choice: u8, data: &[u8], piece: usize) -> Outcome {
    let misfits = misfits(choice);
    let asked = asked(choice);
    let mut out: Vec<RecordBatch> = Vec::new();
    let result = (|| {
        let mut start = CsvStart::new(asked.clone(), options.clone(), misfits.clone());
        let mut end = 0_usize;
        let started = loop {
            end = data.len().min(end.saturating_add(piece));
            let last = end == data.len();
            match start.next(&data[..end], last)? {
                Some(started) => break started,
                None if last => return Ok(()),
                None => {}
            }
        };
        let Started { chunks, skip, line } = started;
        let mut decoder = chunks.decoder(line, misfits.clone());
        let mut pieces = data[skip..].chunks(piece);
        pieces.try_for_each(|bytes| decoder.push(bytes, &mut out))?;
        decoder.finish(&mut out)
    })();
    outcome(result, &out, &misfits)
}

/// As [`decode`], in chunks that are decoded each by itself.
fn decode_chunks(options: Option<&CsvOptions>, choice: u8, data: &[u8], bytes: usize) -> Outcome {
    let misfits = misfits(choice);
    let asked = asked(choice);
    let mut out: Vec<RecordBatch> = Vec::new();
    let result = (|| {
        let mut cutter = Cutter::new(bytes);
        let mut joiner: Option<(Arc<Decoding>, Joiner)> = None;
        let mut start =
            options.map(|options| CsvStart::new(asked.clone(), options.clone(), misfits.clone()));
        let mut pieces = data.chunks(bytes).peekable();
        loop {
            cutter
                .text
                .extend_from_slice(pieces.next().unwrap_or_default());
            let last = pieces.peek().is_none();
            if joiner.is_none() {
                let (chunked, line): (Box<dyn Chunked>, u64) = if let Some(start) = &mut start {
                    match start.next(&cutter.text, last)? {
                        Some(started) => {
                            cutter.text.drain(..started.skip);
                            (Box::new(started.chunks), started.line)
                        }
                        None if last => return Ok(()),
                        None => continue,
                    }
                } else {
                    (Box::new(JsonChunks::new(asked.clone())), 1)
                };
                let decoding = Decoding::new(chunked, Arc::default(), misfits.clone());
                let decoding = Arc::new(decoding);
                joiner = Some((Arc::clone(&decoding), Joiner::new(decoding, line)));
            }
            let Some((decoding, joiner)) = &mut joiner else {
                return Ok(());
            };
            if let Some(cut) = cutter.next(decoding.chunked.as_ref(), last) {
                let attempt = decoding.quick(&cut).or_else(|| decoding.complete(&cut));
                let cut = match joiner.join(cut, attempt, &mut out) {
                    Ok(cut) => cut,
                    Err(mut unread) => {
                        while !joiner.read(&mut unread, &mut out)? {}
                        unread.cut
                    }
                };
                cutter.recycle(cut);
            }
            if last {
                return joiner.finish(&mut out);
            }
        }
    })();
    outcome(result, &out, &misfits)
}

fn outcome(result: Result<(), Error>, out: &[RecordBatch], misfits: &Misfits) -> Outcome {
    let rows = concat_batches(&table(), out).map(|batch| format!("{batch:?}"));
    let shown = match (result, rows) {
        (Ok(()), Ok(rows)) => Ok(rows),
        (Err(error), _) => Err(error.to_string()),
        (Ok(()), Err(error)) => Err(format!("batches differ: {error}")),
    };
    (
        shown,
        misfits.counts.skipped_rows(),
        misfits.counts.nulled_values(),
    )
}

fn same(outcomes: &[Outcome]) {
    for pair in outcomes.windows(2) {
        // Where a file fails, how much of it was counted before depends on its pieces.
        if pair[0].0.is_err() && pair[0].0 == pair[1].0 {
            continue;
        }
        assert_eq!(
            pair[0], pair[1],
            "the pieces that text comes in must not matter"
        );
    }
}

/// Sizes of pieces and chunks.
const PIECES: [usize; 3] = [usize::MAX, 1, 7];
const CHUNKS: [usize; 4] = [1 << 20, 5, 16, 100];

/// Delimited text. The first byte chooses policy and dialect; where its last bits are both set, the second byte chooses what
/// is rarer.
///
/// # Panics
/// If the pieces matter, or the chunks that text is decoded in.
pub fn csv(data: &[u8]) {
    let Some((&choice, mut text)) = data.split_first() else {
        return;
    };
    let mut rare = 0;
    if choice & 0x0c == 0x0c
        && let Some((&second, rest)) = text.split_first()
    {
        (rare, text) = (second, rest);
    }
    let delimiter: &[u8] = match (choice & 0x10 == 0, rare & 1 == 0) {
        (true, true) => b",",
        (false, true) => b";",
        (true, false) => b", ",
        (false, false) => b";;",
    };
    let quote = (rare & 2 == 0).then_some(b'"');
    let options = CsvOptions {
        dialect: Dialect {
            delimiter: Delimiter::of(delimiter).unwrap_or(Delimiter::byte(b',')),
            quote,
            escape: quote.filter(|_| choice & 0x20 != 0).map(|_| b'\\'),
            comment: (choice & 0x40 != 0).then_some(b'#'),
            trim: rare & 4 != 0,
        },
        skip_lines: usize::from(rare >> 3 & 3),
        header: match (choice & 0x80 == 0, rare >> 5 & 3) {
            (true, 0) => Header::Names(1),
            (true, records) => Header::Names(usize::from(records)),
            (false, 0) => Header::None,
            (false, records) => Header::Skipped(usize::from(records)),
        },
        footer_lines: 0,
        null_values: vec![String::new()].into(),
    };
    let in_pieces = PIECES.map(|piece| decode_csv(&options, choice, text, piece));
    same(&in_pieces);
    for bytes in CHUNKS {
        let in_chunks = decode_chunks(Some(&options), choice, text, bytes);
        same(&[in_pieces[0].clone(), in_chunks]);
    }
}

/// JSON. The first byte chooses policy and where the rows are.
///
/// # Panics
/// If the pieces matter, or the chunks that lines are decoded in.
pub fn json(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else {
        return;
    };
    let rows = match choice >> 4 & 3 {
        0 => JsonRows::Lines,
        1 | 2 => JsonRows::Document(Vec::new()),
        _ => JsonRows::Document(vec!["e".to_owned()]),
    };
    let in_pieces = PIECES.map(|piece| {
        let misfits = misfits(choice);
        let mut decoder = JsonDecoder::new(asked(choice), rows.clone(), misfits.clone());
        decode(&mut decoder, &misfits, text, piece)
    });
    same(&in_pieces);
    if rows != JsonRows::Lines {
        return;
    }
    for bytes in CHUNKS {
        let in_chunks = decode_chunks(None, choice, text, bytes);
        same(&[in_pieces[0].clone(), in_chunks]);
    }
}
