#![no_main]
//! See `targets::wire`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::wire(data);
});
