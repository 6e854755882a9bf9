//! What the demo's Organism releases: small shell programs that say which version they are, the hooks that install them,
//! and the manifests. One of the programs is broken.

use governance::release::RollbackInstructions;
use governance::{Advisory, Class, Digest, LayerContent, LayerStructure, Tier, Version, VersionRange};

use crate::commands::release::Manifest;

/// What every instance runs when it enrols.
pub(super) const FIRST: Version = Version::new(0, 1, 0);
/// The good update.
pub(super) const GOOD: Version = Version::new(0, 1, 1);
/// The broken one.
pub(super) const BROKEN: Version = Version::new(0, 1, 2);
/// The security release.
pub(super) const SECURITY: Version = Version::new(0, 1, 3);
/// The runtime of every instance.
pub(super) const RUNTIME: Version = Version::new(0, 1, 0);
/// Where the broken one fails.
pub(super) const BREAKS_ON: Tier = Tier::Enterprise;

/// Names and programs of the hooks, as an instance's owner would write them.
pub(super) const HOOKS: [(&str, &str); 3] = [("bind", BIND), ("health", HEALTH), ("rollback", ROLLBACK)];

const BIND: &str = r#"#!/bin/sh
# Makes the release in FEDPLANE_SLOT the one that runs.
set -eu
cp "$FEDPLANE_PACKAGE" "$FEDPLANE_SLOT/program"
chmod 755 "$FEDPLANE_SLOT/program"
ln -sfn "$FEDPLANE_SLOT" "$FEDPLANE_FOLDER/running"
"#;

const HEALTH: &str = r#"#!/bin/sh
# Asks the program that runs now how it is; it answers with its version. The tier is its only argument.
exec ./running/program "$1"
"#;

const ROLLBACK: &str = r#"#!/bin/sh
# Makes the release before the one that runs again. What was there at first has no slot.
set -eu
if [ -x "$FEDPLANE_SLOT/program" ]; then
  ln -sfn "$FEDPLANE_SLOT" "$FEDPLANE_FOLDER/running"
else
  ln -sfn "$FEDPLANE_FOLDER/original" "$FEDPLANE_FOLDER/running"
fi
"#;

/// The bytes of a release's package: the program.
pub(super) fn program(version: Version) -> String {
    let sickness = if version == BROKEN {
        format!(
            r#"# Well at first. On {BREAKS_ON} machines its cache outgrows the memory at the fourth look.
if [ "$1" = {BREAKS_ON} ]; then
  looks="$(dirname "$0")/looks"
  echo look >>"$looks"
  if [ "$(wc -l <"$looks")" -ge 4 ]; then
    echo "out of memory: the cache does not fit" >&2
    exit 1
  fi
fi
"#
        )
    } else {
        String::new()
    };
    format!(
        "#!/bin/sh\n# The platform, release {version}. Asked how it is, it says which version it is.\n{sickness}echo {version}\n"
    )
}

/// The structures of a release: id, content, and what each needs.
fn layers(version: Version) -> Vec<LayerStructure> {
    let rows: [(String, Vec<String>); 3] = [
        (format!("TIS-LEDGERING-v{version}"), vec![]),
        (format!("SYS-COMMERCE-v{version}"), vec![format!("TIS-LEDGERING-v{version}")]),
        (format!("ORGANISM-v{version}"), vec![format!("SYS-COMMERCE-v{version}")]),
    ];
    let structure = |(id, needs): &(String, Vec<String>)| {
        let digest = Digest::of(format!("content of {id}").as_bytes());
        let needs = needs.iter().filter_map(|need| need.parse().ok()).collect();
        id.parse().ok().map(|id| LayerStructure { id, digest, needs })
    };
    rows.iter().filter_map(structure).collect()
}

/// What an instance says it contains when it runs this release (ID-5).
pub(super) fn contents(version: Version) -> Vec<LayerContent> {
    layers(version).into_iter().map(|layer| LayerContent { id: layer.id, digest: layer.digest }).collect()
}

/// The manifest that the Organism signs.
pub(super) fn manifest(version: Version) -> Manifest {
    let (class, notes) = match version {
        SECURITY => (Class::Security, "Closes a hole through which orders could be read."),
        BROKEN => (Class::Minor, "A cache, for speed."),
        GOOD => (Class::Minor, "Faster search."),
        _ => (Class::Minor, "The first release."),
    };
    Manifest {
        version,
        class,
        advisory: (class == Class::Minor).then_some(Advisory::Feature),
        layers: layers(version),
        ships_runtime: None,
        runtime: VersionRange { min: RUNTIME, max: Version::new(0, 2, 0) },
        from: None,
        // Nobody who has the hole closed opens it again.
        floor: (version == SECURITY).then_some(SECURITY),
        rollback: Some(RollbackInstructions {
            instructions: "run the `rollback` hook: it links the release before".to_owned(),
        }),
        migration: None,
        deprecations: Vec::new(),
        removes: Vec::new(),
        notes: notes.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rl_1_rl_4_every_manifest_may_be_published() {
        for version in [FIRST, GOOD, BROKEN, SECURITY] {
            let text = toml::to_string(&manifest(version)).unwrap();
            let read: Manifest = toml::from_str(&text).unwrap();
            assert!(read.into_release(program(version).as_bytes()).is_ok(), "{text}");
            assert_eq!(contents(version).len(), 3);
        }
        assert_eq!(manifest(SECURITY).class, Class::Security);
    }

    #[test]
    fn the_broken_program_is_well_at_first_and_then_fails_where_it_should() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("program");
        let ask = |tier: Tier| {
            let output = std::process::Command::new("sh").arg(&path).arg(tier.as_str()).output().unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap())
        };
        std::fs::write(&path, program(BROKEN)).unwrap();
        let good = (true, format!("{BROKEN}\n"));
        for _ in 0..4 {
            assert_eq!(ask(Tier::Pro), good);
        }
        for _ in 0..3 {
            assert_eq!(ask(BREAKS_ON), good);
        }
        assert_eq!(ask(BREAKS_ON), (false, String::new()));
        std::fs::write(&path, program(SECURITY)).unwrap();
        assert_eq!(ask(BREAKS_ON), (true, format!("{SECURITY}\n")));
    }
}
