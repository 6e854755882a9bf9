#![no_main]
//! See `targets::tile`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::tile(data);
});
