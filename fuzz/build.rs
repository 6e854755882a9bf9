//! Does nothing: see `[build-dependencies]`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
