//! Any bytes as a file compressed with gzip, in any pieces.

use crate::formats::gzip::{Gunzip, Next};

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
    let mut bytes = 0;
    let whole = each_piece(file, 256 << 10, |piece| bytes += piece.len() as u64);
    whole.then_some(bytes)
}

/// Plain bytes of all that can be decompressed, and whether the file is whole.
pub(crate) fn decompress(file: &[u8], piece_bytes: usize) -> (Vec<u8>, bool) {
    let mut plain = Vec::new();
    let whole = each_piece(file, piece_bytes, |piece| plain.extend_from_slice(piece));
    (plain, whole)
}

fn each_piece(file: &[u8], piece_bytes: usize, mut take: impl FnMut(&[u8])) -> bool {
    let mut gunzip = Gunzip::new();
    let mut pieces = file.chunks(piece_bytes);
    loop {
        match gunzip.next() {
            Next::Piece(piece) => take(&piece),
            Next::NeedsInput => match pieces.next() {
                Some(piece) => gunzip.push(piece),
                None => gunzip.end(),
            },
            Next::End => return true,
            Next::Corrupt => return false,
        }
    }
}
