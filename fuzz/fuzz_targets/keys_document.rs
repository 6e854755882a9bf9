#![no_main]
//! See `targets::keys_document`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::keys_document(data);
});
