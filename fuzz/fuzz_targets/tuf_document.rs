#![no_main]
//! See `targets::tuf_document`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::tuf_document(data);
});
