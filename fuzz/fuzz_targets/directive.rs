#![no_main]
//! See `targets::directive`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::directive(data);
});
