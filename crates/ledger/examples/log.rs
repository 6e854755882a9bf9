//! Writes a log as the plane does, for other implementations to read: `cargo run -p ledger --example log -- DIR SIZE STEP`.
//!
//! STEP entries are published at a time. Prints the verifier key. The key that signs is known to everybody.
#![allow(clippy::print_stdout, reason = "a program for scripts")]

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use ledger::{Checkpoint, Edge, KeyName, NoteKey};
use proof::{SeedKey, Sign as _};

const ORIGIN: &str = "federation.example/ledger";

fn main() -> Result<(), Box<dyn Error>> {
    let [folder, size, step]: [String; 3] =
        env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: log DIR SIZE STEP")?;
    let (size, step): (u64, u64) = (size.parse()?, step.parse()?);
    let folder = Path::new(&folder);
    let signer = SeedKey::new([7; 32]);
    let origin = KeyName::parse(ORIGIN)?;
    let key = NoteKey::new(origin.clone(), signer.public_key().as_bytes())?;
    let mut edge = Edge::new();
    while edge.size() < size {
        for _ in 0..step.min(size - edge.size()) {
            // Of every length, an empty one and the longest among them.
            let length = match edge.size() {
                1 => 65_535,
                position => usize::try_from(position % 300)?,
            };
            let entry: Vec<u8> = edge.size().to_le_bytes().into_iter().cycle().take(length).collect();
            edge.append(&entry)?;
        }
        for tile in edge.take() {
            let path = folder.join(tile.id.to_string());
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, tile.bytes)?;
        }
    }
    let signed = Checkpoint::new(origin, edge.head())?.sign(&key, |text| signer.sign(text))?;
    fs::write(folder.join("checkpoint"), signed.to_string())?;
    println!("{key}");
    Ok(())
}
