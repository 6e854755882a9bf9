#![no_main]
//! See `targets::pem`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::pem(data);
});
