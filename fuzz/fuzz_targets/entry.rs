#![no_main]
//! See `targets::entry`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::entry(data);
});
