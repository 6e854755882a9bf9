//! Replays a whole log from the root keys alone (LG-3): every entry lawful, by the right authority, under the
//! constitution in force, on the facts that the entries before it state; or the first one that is not.
//!
//! It restates no rule. At the first entry of each decision it computes with `governance` what had to be decided, and
//! holds the entries that follow against it. Never trusts what it was not given keys for: whatever is proved here is
//! proved by the Founder's root keys, the signed checkpoint, and the entries' own evidence.

use alloc::string::{String, ToString};
use core::fmt;

use governance::{Digest, Opening, Refusal, TrustDomain};
use proof::RootKeys;
use serde::Serialize;

use crate::checkpoint::{SignedCheckpoint, ledger_keys};
use crate::entry::Entry;
use crate::tree::{Frontier, TreeHead, leaf_hash};

mod decision;
mod enrolment;
mod instance;
mod replay;
mod report;
mod request;
mod share;
mod world;

pub use report::{Report, RolloutReport};
pub use share::{Share, ShareFound, join};

pub use replay::CROSSING_MAX;
use replay::Replay;

/// What was expected and found is shown up to so many characters.
const SHOWN_MAX: usize = 600;

/// The first entry that is not as the law wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Its position in the log; of a breach of the log as a whole, the number of entries.
    pub position: u64,
    /// The rule it breaks.
    pub rule: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What had to stand there, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {} ({})", self.position, self.message, self.rule)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(found) = &self.found {
            write!(f, "; found {found}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Breach {}

/// A breach whose position is not known yet.
#[derive(Clone, Debug)]
struct Fault {
    rule: String,
    message: String,
    expected: Option<String>,
    found: Option<String>,
}

impl Fault {
    fn new(rule: &str, message: impl Into<String>) -> Self {
        Self { rule: rule.to_string(), message: message.into(), expected: None, found: None }
    }

    fn expected(self, expected: impl fmt::Display) -> Self {
        Self { expected: Some(shown(&expected.to_string())), ..self }
    }

    fn found(self, found: impl fmt::Display) -> Self {
        Self { found: Some(shown(&found.to_string())), ..self }
    }

    fn at(self, position: u64) -> Breach {
        let Self { rule, message, expected, found } = self;
        Breach { position, rule, message, expected, found }
    }
}

/// The law refuses what the entry says was decided.
impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let rule = refusal.reasons.first().map_or("LC", |reason| reason.about().1);
        Self::new(rule, alloc::format!("the law refuses what was decided: {refusal}"))
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((cut, _)) => alloc::format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_string(),
    }
}

/// The streaming verifier: entries in, in order; a report or the first breach out.
#[derive(Clone)]
pub struct Verifier {
    frontier: Frontier,
    replay: Replay,
    remembered: Option<TreeHead>,
    breach: Option<Breach>,
}

impl Verifier {
    /// A verifier that trusts these root keys and nothing else. Where `trust_domain` is given, the log must be that
    /// federation's.
    #[must_use]
    pub fn new(root: RootKeys, trust_domain: Option<TrustDomain>) -> Self {
        Self {
            frontier: Frontier::new(),
            replay: Replay::new(root, trust_domain),
            remembered: None,
            breach: None,
        }
    }

    /// Also wants the log to go on from this head, seen before: whoever cut or rewrote what was shown then is found.
    #[must_use]
    pub fn remembering(self, head: TreeHead) -> Self {
        Self { remembered: Some(head), ..self }
    }

    /// Number of entries so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The next entry's bytes; its commitments stay closed.
    ///
    /// # Errors
    /// The first breach; after it, the same one again.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Breach> {
        self.push_opened(bytes, |_| None)
    }

    /// The next entry's bytes, with what opens its commitments, as far as `opening` knows.
    ///
    /// # Errors
    /// The first breach, an opening of another value among them; after it, the same one again.
    pub fn push_opened(
        &mut self,
        bytes: &[u8],
        opening: impl Fn(Digest) -> Option<Opening>,
    ) -> Result<(), Breach> {
        if let Some(breach) = &self.breach {
            return Err(breach.clone());
        }
        let position = self.frontier.size();
        let result = Entry::decode(bytes).map_err(|error| Fault::new("LG-1", error.to_string())).and_then(
            |mut entry| {
                let sealed = entry.open(opening).map_err(|error| Fault::new("LG-1", error.to_string()))?;
                self.replay.push(position, &entry, sealed)
            },
        );
        self.frontier.push(leaf_hash(bytes));
        result.and_then(|()| self.check_remembered()).map_err(|fault| {
            let breach = fault.at(position);
            self.breach = Some(breach.clone());
            breach
        })
    }

    /// Holds the whole log against a checkpoint, which the ledger's key must have signed.
    ///
    /// # Errors
    /// A breach met before, or what is wrong with the log as a whole.
    pub fn finish(self, checkpoint: &SignedCheckpoint) -> Result<Report, Breach> {
        if let Some(breach) = self.breach {
            return Err(breach);
        }
        let size = self.frontier.size();
        let check = || {
            self.replay.check_complete()?;
            self.check_checkpoint(checkpoint)?;
            match self.remembered {
                Some(head) if head.size > size => {
                    Err(Fault::new("LG-2", "the log is shorter than it was when it was seen before")
                        .expected(head.size)
                        .found(size))
                }
                _ => Ok(()),
            }
        };
        check().map_err(|fault| fault.at(size))?;
        Ok(self.replay.into_report(self.frontier.head()))
    }

    fn check_remembered(&self) -> Result<(), Fault> {
        match self.remembered {
            Some(head) if head.size == self.frontier.size() && head.root != self.frontier.root() => {
                Err(Fault::new(
                    "LG-2",
                    "the log was rewritten: up to here it had another root when it was seen before",
                )
                .expected(head.root)
                .found(self.frontier.root()))
            }
            _ => Ok(()),
        }
    }

    fn check_checkpoint(&self, checkpoint: &SignedCheckpoint) -> Result<(), Fault> {
        let fault = |why: &dyn fmt::Display| Fault::new("LG-2", alloc::format!("the checkpoint: {why}"));
        let keys =
            self.replay.keys().ok_or_else(|| Fault::new("AU-4", "the log is empty: it names no keys"))?;
        // A checkpoint bears no time: it is signed after the last entry, by a key still good then.
        let latest = self.replay.latest();
        let ledger = ledger_keys(keys, |key| key.not_after >= latest).map_err(|error| fault(&error))?;
        let mut verdict = Err(fault(&"the keys document in force names no key for the ledger"));
        for key in ledger {
            match checkpoint.verify(&key) {
                Ok(_) => {
                    verdict = Ok(());
                    break;
                }
                Err(error) => verdict = Err(fault(&error)),
            }
        }
        verdict?;
        let (signed, head) = (*checkpoint.unverified().head(), self.frontier.head());
        if signed.size != head.size {
            return Err(Fault::new("LG-2", "the checkpoint is of a log with another number of entries")
                .expected(signed.size)
                .found(head.size));
        }
        if signed.root != head.root {
            return Err(Fault::new("LG-2", "the checkpoint is of other entries: the roots differ")
                .expected(signed.root)
                .found(head.root));
        }
        Ok(())
    }
}
