#![no_main]
//! See `targets::x509`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::x509(data);
});
