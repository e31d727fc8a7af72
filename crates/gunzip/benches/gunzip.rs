//! Decompressing gzip, beside zlib-rs: `cargo xtask bench gunzip`, medians of alternating runs in one thread.
//!
//! The file is an export of a contact centre, made here, or the one that an argument names.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::disallowed_methods, reason = "measures real time")]
#![expect(
    clippy::cast_precision_loss,
    reason = "a file has less than 2^53 bytes"
)]

use std::{
    fmt::Write as _,
    io::{Read, Write},
    time::Instant,
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use flowlake_gunzip::{Gunzip, Step};

const ROWS: u64 = 1_000_000;
const ROUNDS: usize = 9;

fn main() {
    let named = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let file = match &named {
        Some(path) => std::fs::read(path).expect("the file named can be read"),
        None => export(),
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut plain_bytes = 0;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let found = by_gunzip(&file);
        ours.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        plain_bytes = by_another(&file);
        theirs.push(began.elapsed().as_secs_f64());
        assert_eq!(found, plain_bytes);
    }
    let gigabytes = plain_bytes as f64 / 1e9;
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!(
        "{:.0} MB of gzip, {:.0} MB plain: ours {:.2} GB/s, zlib-rs {:.2} GB/s; {:.2} of its time",
        file.len() as f64 / 1e6,
        plain_bytes as f64 / 1e6,
        gigabytes / ours,
        gigabytes / theirs,
        ours / theirs
    );
}

fn by_gunzip(file: &[u8]) -> u64 {
    let mut gunzip = Gunzip::new();
    let mut pieces = file.chunks(256 << 10);
    let mut bytes = 0;
    loop {
        match gunzip.step() {
            Step::Piece(piece) => bytes += piece.len() as u64,
            Step::NeedsInput => match pieces.next() {
                Some(piece) => gunzip.push(piece),
                None => gunzip.end(),
            },
            Step::End => return bytes,
            Step::Corrupt => panic!("the file is whole"),
        }
    }
}

fn by_another(file: &[u8]) -> u64 {
    let mut decoder = MultiGzDecoder::new(file);
    let mut piece = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        match decoder.read(&mut piece).expect("the file is whole") {
            0 => return bytes,
            read => bytes += read as u64,
        }
    }
}

/// Rows with an id that does not repeat, names that do, and numbers.
fn export() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = String::new();
    for row in 0..ROWS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let queue = ["Support", "Sales", "Billing", "Tech Tier 2"][(state >> 50) as usize % 4];
        let media = ["voice", "chat", "email"][(state >> 45) as usize % 3];
        let (caller, handle) = (state % 8_000_000_000, state >> 20 & 0x7_ffff);
        writeln!(
            text,
            "{:08x}-{state:016x},2026-01-01 {:02}:{:02}:{:02},{queue},agent-{:04},{media},+1{caller:010},{handle}",
            row,
            row / 3600 % 24,
            row / 60 % 60,
            row % 60,
            state >> 33 & 511
        )
        .expect("a string can be written to");
        if text.len() > 1 << 20 {
            encoder.write_all(text.as_bytes()).expect("memory");
            text.clear();
        }
    }
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
