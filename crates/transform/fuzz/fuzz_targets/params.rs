//! A declaration of a parameter and a value.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowlake_transform::fuzzing::params(data));
