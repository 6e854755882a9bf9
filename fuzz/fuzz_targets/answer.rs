#![no_main]
//! See `targets::answer`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::answer(data);
});
