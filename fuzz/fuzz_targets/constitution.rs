#![no_main]
//! See `targets::constitution`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::constitution(data);
});
