#![no_main]
//! See `targets::encrypted_key`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::encrypted_key(data);
});
