#![no_main]
//! See `targets::csr`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::csr(data);
});
