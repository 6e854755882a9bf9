#![no_main]
//! See `targets::request_head`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::request_head(data);
});
