#![no_main]
//! See `targets::release`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::release(data);
});
