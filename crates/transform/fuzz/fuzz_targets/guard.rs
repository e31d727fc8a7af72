//! Any text as SQL.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowlake_transform::fuzzing::guard(data));
