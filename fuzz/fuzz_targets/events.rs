#![no_main]
//! See `targets::events`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::events(data);
});
