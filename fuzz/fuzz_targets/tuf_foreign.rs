#![no_main]
//! See `targets::tuf_foreign`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::tuf_foreign(data);
});
