#![no_main]
//! See `targets::note`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::note(data);
});
