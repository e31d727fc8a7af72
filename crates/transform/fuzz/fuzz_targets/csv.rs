//! Any bytes as csv, in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowlake_transform::fuzzing::csv(data));
