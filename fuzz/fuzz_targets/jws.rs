#![no_main]
//! See `targets::jws`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::jws(data);
});
