#![no_main]
//! See `targets::token`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::token(data);
});
