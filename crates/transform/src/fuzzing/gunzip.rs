//! Any bytes as a file compressed with gzip, in any pieces.

use crate::formats::gzip::{Gunzip, Next};

/// What decompressing stops at; a file of few bytes may be very long.
const MOST_BYTES: usize = 64 << 20;

/// A file with gzip. The first byte says how long its pieces are.
///
/// # Panics
/// If the pieces matter.
pub fn gzip(data: &[u8]) {
    let Some((&piece, file)) = data.split_first() else {
        return;
    };
    let (plain, whole) = decompress(file, usize::MAX);
    let (in_pieces, also_whole) = decompress(file, usize::from(piece).max(1));
    assert_eq!(
        whole, also_whole,
        "the pieces decide whether a file is whole"
    );
    // How much is given of a damaged file depends on its pieces; what is given does not.
    let common = plain.len().min(in_pieces.len());
    assert!(plain[..common] == in_pieces[..common], "the pieces matter");
    assert!(
        !whole || plain.len() == in_pieces.len(),
        "the pieces matter"
    );
}

/// Length of what a file with gzip holds; `None` when it is damaged or cut off. For benchmarks.
#[must_use]
pub fn gunzip(file: &[u8]) -> Option<u64> {
    let mut gunzip = Gunzip::new();
    let mut pieces = file.chunks(256 << 10);
    let mut bytes = 0;
    loop {
        match gunzip.next() {
            Next::Piece(piece) => bytes += piece.len() as u64,
            Next::NeedsInput => match pieces.next() {
                Some(piece) => gunzip.push(piece),
                None => gunzip.end(),
            },
            Next::End => return Some(bytes),
            Next::Corrupt => return None,
        }
    }
}

fn decompress(file: &[u8], piece_bytes: usize) -> (Vec<u8>, bool) {
    let mut gunzip = Gunzip::new();
    let mut pieces = file.chunks(piece_bytes);
    let mut plain = Vec::new();
    while plain.len() < MOST_BYTES {
        match gunzip.next() {
            Next::Piece(piece) => plain.extend_from_slice(&piece),
            Next::NeedsInput => match pieces.next() {
                Some(piece) => gunzip.push(piece),
                None => gunzip.end(),
            },
            Next::End => return (plain, true),
            Next::Corrupt => return (plain, false),
        }
    }
    plain.truncate(MOST_BYTES);
    (plain, true)
}
