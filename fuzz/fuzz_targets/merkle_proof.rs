#![no_main]
//! See `targets::merkle_proof`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::merkle_proof(data);
});
