//! Any bytes as json, in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowlake_transform::fuzzing::json(data));
