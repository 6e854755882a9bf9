//! Holds the layering: which crate may use which, and who must never know whom.
//!
//! Judges what `cargo` says of the dependency graph, never a habit of naming. Dev-dependencies are
//! free: a test may look at a layer from above.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::Report;
use crate::tree::{self, SourceFile, files, shipped_part};

/// Which crate of ours may use which other, complete: a crate that has no row is refused.
#[rustfmt::skip]
const MAY_USE: &[(&str, &[&str])] = &[
    ("governance", &[]),
    ("proof",      &["governance"]),
    ("ledger",     &["proof", "governance"]),
    ("wire",       &["proof", "governance"]),
    ("trust",      &["wire", "ledger", "proof", "governance"]),
    ("plane",      &["trust", "wire", "ledger", "proof", "governance"]),
    ("store",      &["plane", "trust", "wire", "ledger", "proof", "governance"]),
    ("listener",   &[]),
    ("dashboard",  &["wire", "proof", "governance"]),
    ("server",     &["plane", "store", "listener", "dashboard", "trust", "wire", "ledger", "proof", "governance"]),
    ("client",     &["trust", "wire", "ledger", "proof", "governance"]),
    ("agent",      &["client", "listener", "trust", "wire", "ledger", "proof", "governance"]),
    ("sim",        &["plane", "store", "trust", "wire", "ledger", "proof", "governance"]),
    ("fedplane",   &["server", "listener", "dashboard", "sim", "store", "plane", "client", "trust", "wire", "ledger", "proof", "governance"]),
    ("xtask",      &[]),
];

/// External crates that only some of ours may name.
#[rustfmt::skip]
const ONLY: &[(&str, &[&str])] = &[
    // Nothing but `store` knows a database.
    ("rusqlite",       &["store"]),
    ("tokio-postgres", &["store"]),
    ("deadpool-postgres", &["store"]),
    ("sqlx",           &["store"]),
    // Nothing but the server and the agent's shell serves HTTP.
    ("axum",           &["listener", "server", "agent"]),
    // Nothing but the pages writes HTML.
    ("maud",           &["dashboard"]),
    // AU-3, IN-4: the plane has nothing to call an instance with.
    ("reqwest",        &["client", "agent"]),
    // Loading a token's module is foreign code in the process: one place does it.
    ("cryptoki",       &["trust"]),
    // A passphrase becomes a key in one place, where its cost is bounded.
    ("pkcs8",          &["trust"]),
    ("scrypt",         &["trust"]),
];

/// The crates that decide and prove (◆): `no_std`, and everything they stand on is listed here.
#[rustfmt::skip]
const PURE: &[(&str, &[&str])] = &[
    ("governance", GOVERNANCE_STANDS_ON),
    ("proof",      PROOF_STANDS_ON),
    ("ledger",     PROOF_STANDS_ON),
];

#[rustfmt::skip]
const GOVERNANCE_STANDS_ON: &[&str] = &[
    "block-buffer", "cfg-if", "cpufeatures", "crypto-common", "digest", "hybrid-array", "itoa", "memchr",
    "serde", "serde_core", "serde_json", "sha2", "thiserror", "typenum", "uuid", "zmij",
];

#[rustfmt::skip]
const PROOF_STANDS_ON: &[&str] = &[
    "adler2", "miniz_oxide",
    "base64", "base64ct", "block-buffer", "cfg-if", "const-oid", "cpufeatures", "crypto-common",
    "curve25519-dalek", "der", "digest", "ed25519", "ed25519-dalek", "hybrid-array", "itoa", "memchr",
    "pkcs8", "serde", "serde_core", "serde_json", "sha2", "signature", "spki", "subtle", "thiserror",
    "typenum", "uuid", "zeroize", "zmij",
];

/// Crates that nothing may bring in: one TLS and one crypto library, no C library of the system's.
const NOWHERE: &[&str] = &["ring", "openssl-sys", "native-tls"];

/// Words by which code would reach out of the process: absent from what `plane` and `server` ship.
const REACHES_OUT: &[&str] = &[
    "process::Command",
    "TcpStream::connect",
    "UnixStream::connect",
    "UdpSocket::bind",
    "hyper_util::client",
];

/// The platform whose graph is judged, so that the verdict is the same on every machine.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// A crate of ours and what it names outside of its tests.
#[derive(Debug)]
struct Member {
    name: String,
    uses: BTreeSet<String>,
}

/// Judges the workspace as it stands.
pub(crate) fn check() -> anyhow::Result<Report> {
    let metadata = metadata()?;
    let members = members(&metadata);
    let mut problems = judge(&members);
    let tree = cargo_tree(&["--workspace", "--edges", "normal,build"])?;
    problems.extend(judge_nowhere(&tree));
    for (name, stands_on) in PURE {
        let below = cargo_tree(&["--package", name, "--edges", "normal,no-proc-macro"])?;
        let ours: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
        problems.extend(judge_pure(name, stands_on, &ours, &below));
        problems.extend(judge_std_below(name, &metadata, &ours, &below)?);
    }
    problems.extend(judge_sources(&files("crates", &[".rs"])?));
    let notes = vec![format!("{} crates, {} packages in the graph", members.len(), tree.len())];
    Ok(Report { notes, problems })
}

fn metadata() -> anyhow::Result<Metadata> {
    MetadataCommand::new()
        .manifest_path(tree::root().join("Cargo.toml"))
        .other_options(["--locked".into(), "--filter-platform".into(), PLATFORM.into()])
        .exec()
        .context("cargo metadata")
}

fn members(metadata: &Metadata) -> Vec<Member> {
    let dev = DependencyKind::Development;
    let shipped = |package: &cargo_metadata::Package| {
        package.dependencies.iter().filter(|d| d.kind != dev).map(|d| d.name.clone()).collect()
    };
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| Member { name: package.name.to_string(), uses: shipped(package) })
        .collect()
}

/// Name and version of every package that `cargo tree` draws, each once.
fn cargo_tree(arguments: &[&str]) -> anyhow::Result<BTreeSet<(String, String)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(tree::root())
        .args(["tree", "--locked", "--quiet", "--prefix", "none", "--format", "{p}", "--target", PLATFORM])
        .args(arguments)
        .output()
        .context("cargo tree")?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter_map(package_of_line).collect())
}

/// `serde v1.0.229 (proc-macro)` → (`serde`, `1.0.229`).
fn package_of_line(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let version = words.next()?.strip_prefix('v')?;
    Some((name.to_owned(), version.to_owned()))
}

fn judge(members: &[Member]) -> Vec<String> {
    let ours: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut problems = Vec::new();
    for member in members {
        let Some(may_use) = table.get(member.name.as_str()) else {
            problems.push(format!("{} has no row in the table of layers", member.name));
            continue;
        };
        for used in member.uses.iter().filter(|used| ours.contains(used.as_str())) {
            if !may_use.contains(&used.as_str()) {
                problems.push(format!("{} may not use {used}", member.name));
            }
        }
        for (external, who) in ONLY {
            if member.uses.contains(*external) && !who.contains(&member.name.as_str()) {
                problems.push(format!("{} may not use {external}: only {}", member.name, who.join(", ")));
            }
        }
    }
    problems
}

fn judge_nowhere(tree: &BTreeSet<(String, String)>) -> Vec<String> {
    let banned = tree.iter().filter(|(name, _)| NOWHERE.contains(&name.as_str()));
    banned.map(|(name, version)| format!("{name} {version} is in the graph and may be nowhere")).collect()
}

fn judge_pure(
    name: &str,
    stands_on: &[&str],
    ours: &BTreeSet<&str>,
    below: &BTreeSet<(String, String)>,
) -> Vec<String> {
    let foreign = below.iter().map(|(package, _)| package.as_str()).filter(|package| !ours.contains(package));
    let unlisted = foreign.filter(|package| !stands_on.contains(package));
    unlisted.map(|package| format!("{name} stands on {package}, which its allow-list lacks")).collect()
}

/// Everything below a ◆ crate must itself be able to live without `std`.
fn judge_std_below(
    name: &str,
    metadata: &Metadata,
    ours: &BTreeSet<&str>,
    below: &BTreeSet<(String, String)>,
) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for (package, version) in below.iter().filter(|(package, _)| !ours.contains(package.as_str())) {
        let known =
            metadata.packages.iter().find(|p| p.name == *package && p.version.to_string() == *version);
        let library = known.and_then(|p| p.targets.iter().find(|target| target.is_lib()));
        let library =
            library.with_context(|| format!("no library of {package} {version} in the metadata"))?;
        let text = std::fs::read_to_string(&library.src_path)
            .with_context(|| format!("reading {}", library.src_path))?;
        if !declares_no_std(&text) {
            problems.push(format!("{name} stands on {package} {version}, which needs std"));
        }
    }
    Ok(problems)
}

/// Whether a crate root says `no_std`, always or on a condition.
fn declares_no_std(text: &str) -> bool {
    let squeezed = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let squeezed: String = squeezed.flat_map(str::split_whitespace).collect();
    squeezed.contains("#![no_std]")
        || squeezed.split("#![cfg_attr(").skip(1).any(|rest| {
            rest.split(")]").next().is_some_and(|inside| inside.split(',').any(|word| word == "no_std"))
        })
}

fn judge_sources(sources: &[SourceFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, _) in PURE {
        let root = format!("crates/{name}/src/lib.rs");
        let lib = sources.iter().find(|file| file.path == root);
        if !lib.is_some_and(|file| declares_no_std(&file.text)) {
            problems.push(format!("{root} does not say #![no_std]"));
        }
    }
    for file in sources {
        let crate_name = file.path.split('/').nth(1).unwrap_or("");
        let shipped = shipped_part(file);
        let pure = PURE.iter().any(|(name, _)| *name == crate_name);
        if pure && shipped.contains("extern crate std") {
            problems.push(format!("{} brings std back", file.path));
        }
        if matches!(crate_name, "plane" | "server") {
            for word in REACHES_OUT.iter().filter(|word| shipped.contains(*word)) {
                problems.push(format!("{} says {word}: the plane reaches into nothing (AU-3)", file.path));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, uses: &[&str]) -> Member {
        Member { name: name.into(), uses: uses.iter().map(|used| (*used).into()).collect() }
    }

    fn source(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn the_workspace_keeps_its_layers() {
        let report = check().unwrap();
        assert!(report.problems.is_empty(), "{}", report.problems.join("\n"));
    }

    #[test]
    fn the_table_reaches_down_only() {
        let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
        for (name, may_use) in MAY_USE {
            for used in *may_use {
                assert_ne!(name, used);
                for below in table[used] {
                    assert!(may_use.contains(below), "{name} → {used} → {below} is not in the row of {name}");
                    assert_ne!(name, below, "a ring of {name} and {used}");
                }
            }
        }
        assert!(table["governance"].is_empty(), "governance knows no crate of ours");
        for unknown in ["plane", "store", "server"] {
            assert!(!table["agent"].contains(&unknown), "the agent must not know {unknown}");
        }
    }

    #[test]
    fn a_crate_that_looks_up_is_refused() {
        let check = |members: &[Member], expected: &[&str]| assert_eq!(judge(members), expected);
        let all =
            || vec![member("plane", &[]), member("governance", &["serde"]), member("store", &["rusqlite"])];
        check(&all(), &[]);
        let with = |extra: Member| all().into_iter().chain([extra]).collect::<Vec<_>>();
        check(&with(member("agent", &["plane"])), &["agent may not use plane"]);
        check(&with(member("agent", &["rusqlite"])), &["agent may not use rusqlite: only store"]);
        check(&with(member("client", &["axum"])), &["client may not use axum: only listener, server, agent"]);
        check(&with(member("novel", &[])), &["novel has no row in the table of layers"]);
    }

    #[test]
    fn a_pure_crate_stands_on_listed_crates_only() {
        let ours = BTreeSet::from(["governance"]);
        let below = |names: &[&str]| names.iter().map(|n| ((*n).into(), "1.0.0".into())).collect();
        let governance =
            |names: &[&str]| judge_pure("governance", GOVERNANCE_STANDS_ON, &ours, &below(names));
        assert_eq!(governance(&["governance", "serde", "sha2"]), Vec::<String>::new());
        assert_eq!(governance(&["tokio"]), ["governance stands on tokio, which its allow-list lacks"]);
        assert_eq!(
            judge_nowhere(&below(&["serde", "ring"])),
            ["ring 1.0.0 is in the graph and may be nowhere"]
        );
    }

    #[test]
    fn no_std_is_recognised() {
        assert!(declares_no_std("//! Docs.\n#![no_std]\n"));
        assert!(declares_no_std("#![cfg_attr(\n    not(feature = \"std\"),\n    no_std\n)]"));
        assert!(declares_no_std("#![cfg_attr(not(test), no_std)]"));
        assert!(!declares_no_std("//! A `#![no_std]` build.\nuse std::fs;"));
        assert!(!declares_no_std("#![cfg_attr(docsrs, feature(doc_cfg))]\n// no_std"));
    }

    #[test]
    fn au_3_the_plane_reaches_into_nothing() {
        let judged = |path: &str, text: &str| {
            let pure =
                PURE.iter().map(|(name, _)| source(&format!("crates/{name}/src/lib.rs"), "#![no_std]"));
            judge_sources(&pure.chain([source(path, text)]).collect::<Vec<_>>())
        };
        let call = "let stream = TcpStream::connect(endpoint).await?;";
        assert_eq!(judged("crates/plane/src/a.rs", call).len(), 1);
        assert_eq!(judged("crates/server/src/a.rs", call).len(), 1);
        assert_eq!(
            judged("crates/server/src/a.rs", &format!("#[cfg(test)] mod tests {{ {call} }}")).len(),
            0
        );
        assert_eq!(judged("crates/agent/src/a.rs", call).len(), 0);
        assert_eq!(judged("crates/ledger/src/a.rs", "extern crate std;").len(), 1);
    }
}
