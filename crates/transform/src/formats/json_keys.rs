//! Keys of JSON rows that no column of the table is named for: the sample that columns were found from did not have them.

use std::{collections::HashSet, sync::Arc};

use super::{json_check::shape_with_keys, misfit::Misfits};

/// Keys whose order is remembered, so that rows that are alike are not looked up key by key.
const KEPT_KEYS: usize = 1024;
/// Keys that may be left out of a row before the next one is looked up.
const LOOK_AHEAD: usize = 4;

/// Compares the keys of rows with the columns of the table.
pub(crate) struct KeyWatch {
    known: Arc<HashSet<String>>,
    /// Keys that are no surprise, as rows wrote them, in their order.
    expected: Vec<Vec<u8>>,
}

impl KeyWatch {
    pub(crate) fn new(known: Arc<HashSet<String>>) -> Self {
        Self {
            known,
            expected: Vec::new(),
        }
    }

    /// Tells the keys of a row that the table lacks.
    pub(crate) fn look_at(&mut self, row: &[u8], misfits: &Misfits) {
        let Self { known, expected } = self;
        let mut next = 0;
        shape_with_keys(row, |key| {
            let ahead = expected[next..].iter().take(LOOK_AHEAD);
            if let Some(skipped) = ahead.into_iter().position(|expected| expected == key) {
                next += skipped + 1;
                return;
            }
            if let Some(name) = name(key)
                && !known.contains(&name)
            {
                misfits.unlisted(&name);
            }
            if next == expected.len() && next < KEPT_KEYS {
                expected.push(key.to_vec());
                next += 1;
            }
        });
    }
}

/// A key without its escapes.
fn name(written: &[u8]) -> Option<String> {
    if !written.contains(&b'\\') {
        return std::str::from_utf8(written).ok().map(str::to_owned);
    }
    serde_json::from_slice(&[b"\"", written, b"\""].concat()).ok()
}
