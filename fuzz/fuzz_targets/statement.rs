#![no_main]
//! See `targets::statement`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::statement(data);
});
