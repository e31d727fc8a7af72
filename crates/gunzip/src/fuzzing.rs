//! Entry points for fuzzing: any bytes as a gzip file, pushed in pieces of any size.

use crate::{Gunzip, Step};

/// Decodes a file whole and in pieces; its first byte is the length of the pieces.
///
/// # Panics
/// If the two results differ.
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
    // The number of bytes of a damaged file depends on its pieces; the bytes do not.
    let common = plain.len().min(in_pieces.len());
    assert!(plain[..common] == in_pieces[..common], "the pieces matter");
    assert!(
        !whole || plain.len() == in_pieces.len(),
        "the pieces matter"
    );
}

/// Decodes as much of a file as possible; the flag says whether the file is whole.
#[must_use]
pub fn decompress(file: &[u8], piece_bytes: usize) -> (Vec<u8>, bool) {
    let mut plain = Vec::new();
    let mut gunzip = Gunzip::new();
    let mut pieces = file.chunks(piece_bytes);
    loop {
        match gunzip.step() {
            Step::Piece(piece) => plain.extend_from_slice(&piece),
            Step::NeedsInput => match pieces.next() {
                Some(piece) => gunzip.push(piece),
                None => gunzip.end(),
            },
            Step::End => return (plain, true),
            Step::Corrupt => return (plain, false),
        }
    }
}
