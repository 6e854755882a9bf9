#![no_main]
//! See `targets::tuf_updater`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::tuf_updater(data);
});
