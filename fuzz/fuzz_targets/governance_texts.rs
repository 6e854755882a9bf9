#![no_main]
//! See `targets::governance_texts`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::governance_texts(data);
});
