#![no_main]
//! See `targets::log_proof`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::log_proof(data);
});
