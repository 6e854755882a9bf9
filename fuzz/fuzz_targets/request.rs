#![no_main]
//! See `targets::request`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::request(data);
});
