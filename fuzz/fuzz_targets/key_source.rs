#![no_main]
//! See `targets::key_source`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::key_source(data);
});
