//! Writes a small TUF repository for other implementations to read: `tuf_repository DIR UNIX_SECONDS`.
//!
//! Two roots (a Founder's key and the snapshot key change hands), three versions of targets, keys from known seeds.
//! Never use its keys for anything.

use std::error::Error;
use std::path::Path;

use governance::{Span, Timestamp};
use proof::{KeySet, PublicKey, SeedKey, Sign};
use trust::tuf::{Envelope, Lifetimes, Repository, RootPlan, TargetsChange, draft};

fn key(seed: u8) -> SeedKey {
    SeedKey::new([seed; 32])
}

fn public(seeds: &[u8]) -> Vec<PublicKey> {
    seeds.iter().map(|seed| *key(*seed).public_key()).collect()
}

fn signed(mut envelope: Envelope, seeds: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    for seed in seeds {
        envelope.sign(&key(*seed))?;
    }
    Ok(envelope.to_bytes()?)
}

fn repository(folder: &Path, snapshot: u8) -> Result<Repository, Box<dyn Error>> {
    Ok(Repository::open(folder, Box::new(key(snapshot)), Box::new(key(31)), Lifetimes::default())?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: tuf_repository DIR UNIX_SECONDS";
    let folder = arguments.next().ok_or(usage)?;
    let folder = Path::new(&folder);
    let now: i64 = arguments.next().ok_or(usage)?.parse()?;
    let now = Timestamp::from_millis(now * 1000);
    let year = now + Span::hours(365 * 24);

    let organism = KeySet::new(2, public(&[11, 12, 13]))?;
    let plan = RootPlan {
        founder: &KeySet::new(2, public(&[1, 2, 3]))?,
        organism: &organism,
        snapshot: &public(&[21]),
        timestamp: &public(&[31]),
    };
    let before = repository(folder, 21)?;
    let first_root = signed(draft::root_first(&plan, year)?, &[1, 2])?;
    before.root_publish(&first_root)?;
    let targets = signed(draft::targets_first(TargetsChange::default(), year)?, &[11, 12])?;
    before.publish(&targets, now)?;
    let mut change = TargetsChange::default();
    for (name, bytes) in [
        ("release-0.1.1.json", &br#"{"version":"0.1.1"}"#[..]),
        ("package-0.1.1", b"the package of release 0.1.1\n"),
    ] {
        change.put.insert(name.into(), before.target_put(name, &mut &*bytes, 1_000_000)?);
    }
    let targets = signed(draft::targets_next(&targets, change, year)?, &[13, 11])?;
    before.publish(&targets, now)?;

    let plan = RootPlan { founder: &KeySet::new(2, public(&[2, 3, 4]))?, snapshot: &public(&[22]), ..plan };
    let after = repository(folder, 22)?;
    after.root_publish(&signed(draft::root_next(&first_root, &plan, year)?, &[2, 3])?)?;
    after.resign_if_due(now)?;
    let matrix = after.target_put("matrix.json", &mut &b"[]\n"[..], 1_000_000)?;
    let change = TargetsChange { put: [("matrix.json".into(), matrix)].into(), remove: Vec::new() };
    let targets = signed(draft::targets_next(&targets, change, year)?, &[12, 13])?;
    after.publish(&targets, now)?;
    Ok(())
}
