#![no_main]
//! See `targets::order`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::order(data);
});
