//! Any bytes as a file with gzip, in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowlake_transform::fuzzing::gzip(data));
