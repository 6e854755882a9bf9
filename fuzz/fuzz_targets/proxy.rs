#![no_main]
//! See `targets::proxy`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::proxy(data);
});
