//! Any bytes as a gzip file, in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowlake_gunzip::fuzzing::gzip(data));
