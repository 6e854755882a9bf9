//! Layer structures: their ids, what each contains by digest, and whether a release's stack closes (RL-4).
//!
//! Never reads a structure's content: digests stand for it (ID-5).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::Digest;
use crate::text::{excerpt, text_serde};
use crate::version::Version;

/// The layers, from the lowest capability layer up to the runtime that carries them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// `ORG-XX-NAME`: organelles.
    Organelle,
    /// `CELL-XX-NAME`: cells.
    Cell,
    /// `TIS-NAME`: tissues.
    Tissue,
    /// `ORGX-XX-NAME`: organs.
    Organ,
    /// `SYS-NAME`: systems.
    System,
    /// `ORGANISM`: the organism itself.
    Organism,
    /// `RUNTIME`: what runs it.
    Runtime,
}

/// Prefix, whether a two-character sector follows, whether a name follows.
const FORMS: [(&str, bool, bool, Layer); 7] = [
    ("ORG", true, true, Layer::Organelle),
    ("CELL", true, true, Layer::Cell),
    ("TIS", false, true, Layer::Tissue),
    ("ORGX", true, true, Layer::Organ),
    ("SYS", false, true, Layer::System),
    ("ORGANISM", false, false, Layer::Organism),
    ("RUNTIME", false, false, Layer::Runtime),
];

/// The longest text of a layer id.
const LAYER_ID_MAX: usize = 128;

/// A structure of a layer at a version, as `CELL-HR-PAYROLL-v1.2.0` (RL-4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId {
    layer: Layer,
    /// All before `-v`.
    stem: String,
    version: Version,
}

/// A text that is no layer id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no layer id: write ORG-XX-NAME-vX.Y.Z, CELL-XX-NAME-vX.Y.Z, TIS-NAME-vX.Y.Z, ORGX-XX-NAME-vX.Y.Z, SYS-NAME-vX.Y.Z, ORGANISM-vX.Y.Z or RUNTIME-vX.Y.Z"
)]
pub struct LayerIdError(String);

impl LayerId {
    /// The layer it belongs to.
    #[must_use]
    pub const fn layer(&self) -> Layer {
        self.layer
    }
    /// Its name without the version: the structure's identity across releases.
    #[must_use]
    pub fn stem(&self) -> &str {
        &self.stem
    }
    /// Its version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-v{}", self.stem, self.version)
    }
}

impl FromStr for LayerId {
    type Err = LayerIdError;
    fn from_str(text: &str) -> Result<Self, LayerIdError> {
        let parse = || {
            if text.len() > LAYER_ID_MAX {
                return None;
            }
            let (stem, version) = text.rsplit_once("-v")?;
            let (prefix, rest) = stem.split_once('-').unwrap_or((stem, ""));
            let (_, sector, name, layer) = FORMS.iter().find(|form| form.0 == prefix)?;
            let rest = if *sector {
                let (sector, rest) = rest.split_once('-')?;
                (sector.len() == 2 && is_capital(sector)).then_some(rest)?
            } else {
                rest
            };
            let fits = if *name { rest.split('-').all(is_capital) } else { stem == prefix };
            let version = version.parse().ok()?;
            fits.then(|| Self { layer: *layer, stem: stem.into(), version })
        };
        parse().ok_or_else(|| LayerIdError(excerpt(text)))
    }
}

/// Capitals and digits, at least one.
fn is_capital(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

text_serde!(LayerId);

/// What an instance says it runs of one structure: the id and its content's digest (ID-5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerContent {
    /// The structure.
    pub id: LayerId,
    /// SHA-256 of its content.
    pub digest: Digest,
}

/// A structure as a release declares it (RL-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerStructure {
    /// The structure.
    pub id: LayerId,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// What it needs of the layers below: the same structure of the same line, at this version or later.
    #[serde(default)]
    pub needs: Vec<LayerId>,
}

/// The first structure at which a stack does not close (RL-4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// Two structures with one name.
    #[error("{0} stands in the stack twice")]
    Twice(LayerId),
    /// A need that nothing in the stack meets.
    #[error("{structure} needs {need}, which the stack does not hold")]
    Missing {
        /// Who needs it.
        structure: LayerId,
        /// What is missing.
        need: LayerId,
    },
    /// A need that points at the own layer or above.
    #[error("{structure} needs {need}, which is not of a layer below it")]
    Upward {
        /// Who needs it.
        structure: LayerId,
        /// What it points at.
        need: LayerId,
    },
}

/// Whether every structure's needs are met by the layers below it (RL-4).
///
/// # Errors
/// The first structure that breaks the stack, in the order given.
pub fn check_stack(structures: &[LayerStructure]) -> Result<(), StackError> {
    for (index, structure) in structures.iter().enumerate() {
        if structures.iter().take(index).any(|other| other.id.stem == structure.id.stem) {
            return Err(StackError::Twice(structure.id.clone()));
        }
        for need in &structure.needs {
            if need.layer >= structure.id.layer {
                return Err(StackError::Upward { structure: structure.id.clone(), need: need.clone() });
            }
            let met = structures.iter().any(|other| {
                other.id.stem == need.stem
                    && other.id.version.line() == need.version.line()
                    && other.id.version >= need.version
            });
            if !met {
                return Err(StackError::Missing { structure: structure.id.clone(), need: need.clone() });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn id(text: &str) -> LayerId {
        text.parse().unwrap()
    }
    fn structure(text: &str, needs: &[&str]) -> LayerStructure {
        LayerStructure { id: id(text), digest: Digest::of(b""), needs: needs.iter().map(|n| id(n)).collect() }
    }

    #[test]
    fn rl_4_layer_ids_have_the_seven_forms() {
        for (text, layer) in [
            ("ORG-HR-PAY-v1.0.0", Some(Layer::Organelle)),
            ("CELL-HR-PAY-ROLL-v0.1.0", Some(Layer::Cell)),
            ("TIS-LEDGER-v0.1.0", Some(Layer::Tissue)),
            ("ORGX-HR-PAY-v0.1.0", Some(Layer::Organ)),
            ("SYS-CORE-v0.1.0", Some(Layer::System)),
            ("ORGANISM-v0.1.0", Some(Layer::Organism)),
            ("RUNTIME-v0.1.0", Some(Layer::Runtime)),
            ("RUNTIME-X-v0.1.0", None),
            ("ORG-H-PAY-v1.0.0", None),
            ("ORG-HR-v1.0.0", None),
            ("TIS-v0.1.0", None),
            ("TIS-a-v0.1.0", None),
            ("TIS-A-v0.1", None),
            ("FOO-A-v0.1.0", None),
            ("", None),
        ] {
            let parsed = text.parse::<LayerId>().ok();
            assert_eq!(parsed.as_ref().map(LayerId::layer), layer, "{text}");
            if let Some(parsed) = parsed {
                assert_eq!(parsed.to_string(), text);
            }
        }
    }

    #[test]
    fn rl_4_a_stack_closes_or_names_the_first_breach() {
        let tissue = structure("TIS-A-v1.2.0", &[]);
        let check = |upper: LayerStructure| check_stack(&[tissue.clone(), upper]);
        assert_eq!(check(structure("SYS-B-v1.0.0", &["TIS-A-v1.1.0"])), Ok(()));
        assert!(matches!(
            check(structure("SYS-B-v1.0.0", &["TIS-A-v1.3.0"])),
            Err(StackError::Missing { .. })
        ));
        assert!(matches!(
            check(structure("SYS-B-v1.0.0", &["TIS-A-v2.0.0"])),
            Err(StackError::Missing { .. })
        ));
        assert!(matches!(
            check(structure("CELL-XX-B-v1.0.0", &["TIS-A-v1.0.0"])),
            Err(StackError::Upward { .. })
        ));
        assert!(matches!(check_stack(&vec![tissue.clone(); 2]), Err(StackError::Twice(_))));
    }
}
