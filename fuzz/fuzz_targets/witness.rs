#![no_main]
//! See `targets::witness`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::witness(data);
});
