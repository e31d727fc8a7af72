//! Entry points for fuzzing: any bytes, in any pieces, must be decoded the same way, without a panic.
//!
//! The targets of `fuzz/` and the test `tests/mutations.rs` call the same functions.

use std::sync::Arc;

use datafusion::arrow::{
    array::RecordBatch,
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use crate::{
    OnError,
    formats::{
        Decode,
        csv::{CsvDecoder, CsvOptions},
        json::JsonDecoder,
        json_split::JsonRows,
        misfit::Misfits,
        records::Dialect,
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

fn decode(decoder: &mut dyn Decode, misfits: &Misfits, data: &[u8], piece: usize) -> Outcome {
    let mut out: Vec<RecordBatch> = Vec::new();
    let result = data
        .chunks(piece.max(1))
        .try_for_each(|bytes| decoder.push(bytes, &mut out))
        .and_then(|()| decoder.finish(&mut out));
    let rows = concat_batches(&table(), &out).map(|batch| format!("{batch:?}"));
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

/// Delimited text. The first byte chooses policy and dialect.
///
/// # Panics
/// If the pieces matter.
pub fn csv(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else {
        return;
    };
    let outcomes: Vec<_> = [usize::MAX, 1, 7]
        .into_iter()
        .map(|piece| {
            let misfits = misfits(choice);
            let options = CsvOptions {
                dialect: Dialect {
                    delimiter: if choice & 0x10 == 0 { b',' } else { b';' },
                    quote: b'"',
                    escape: (choice & 0x20 != 0).then_some(b'\\'),
                    comment: (choice & 0x40 != 0).then_some(b'#'),
                },
                header: choice & 0x80 == 0,
                null_values: vec![String::new()].into(),
            };
            let mut decoder =
                CsvDecoder::new(table(), vec![0, 1, 2, 3], options, misfits.clone(), 3);
            decode(&mut decoder, &misfits, text, piece)
        })
        .collect();
    same(&outcomes);
}

/// JSON. The first byte chooses policy and where the rows are.
///
/// # Panics
/// If the pieces matter.
pub fn json(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else {
        return;
    };
    let rows = match choice >> 4 & 3 {
        0 => JsonRows::Lines,
        1 | 2 => JsonRows::Document(Vec::new()),
        _ => JsonRows::Document(vec!["e".to_owned()]),
    };
    let outcomes: Vec<_> = [usize::MAX, 1, 7]
        .into_iter()
        .map(|piece| {
            let misfits = misfits(choice);
            let mut decoder =
                JsonDecoder::new(&table(), &[0, 1, 2, 3], rows.clone(), misfits.clone(), 3);
            decode(&mut decoder, &misfits, text, piece)
        })
        .collect();
    same(&outcomes);
}
