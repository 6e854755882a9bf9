//! Shows keys documents: the one that the folder goes by, and ones on their way.
//!
//! Never says of one that nobody vouches for here that it counts.

use std::path::{Path, PathBuf};

use clap::Args;
use governance::Timestamp;
use ledger::checkpoint::ledger_keys;
use proof::KeysDocument;
use proof::tuf::{Document, Root};
use serde::Serialize;

use super::sign::{changes, must_fit, of, part, read_root, signatures, untrusted};
use super::{DOCUMENT, FolderArgs, Listed, ROOT, draft, listed, table};
use crate::folder::{Folder, read_document};
use crate::{Failure, Output};

#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    /// A folder with documents on their way, as `keys sign` fills it [default: what the federation's folder goes by].
    pub(super) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(super) federation: FolderArgs,
}

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    serial: u64,
    trust_domain: String,
    issued: Timestamp,
    founder_threshold: u32,
    organism_threshold: u32,
    keys: Vec<Listed>,
    /// The ledger's keys as its witnesses and the readers of notes name them.
    ledger: Vec<String>,
    /// Of one on its way.
    #[serde(flatten)]
    candidate: Option<Candidate>,
}

/// A document that nobody opened with root keys, and what is known about it.
#[derive(Debug, Serialize)]
struct Candidate {
    /// Signatures of the Founder keys that it names, and how many must be.
    after: (usize, u32),
    /// The TUF root beside it: its version and its last instant.
    root: Option<(u64, Timestamp)>,
    /// Held against what the federation's folder goes by, where there is one.
    against: Option<Against>,
}

#[derive(Debug, Serialize)]
struct Against {
    /// The serial in force.
    in_force: u64,
    /// Signatures of the Founder keys in force, and how many must be.
    before: (usize, u32),
    comes: Vec<Listed>,
    goes: Vec<Listed>,
    /// Why `keys sign` would not sign it here.
    unfit: Option<String>,
    /// The root in force is not at hand, or there is none beside the document.
    root_unseen: bool,
}

pub(super) fn show(args: &ShowArgs) -> Result<Shown, Failure> {
    let federation = Folder::new(&args.federation.federation);
    match &args.folder {
        Some(folder) => candidate(folder, federation.founder().exists().then_some(&federation)),
        // Published documents, taken out of their federation.
        None if federation.keys().exists() && !federation.founder().exists() => {
            candidate(federation.path(), None)
        }
        None => Ok(Shown::new(&federation.keys_document()?, None)),
    }
}

fn candidate(folder: &Path, federation: Option<&Folder>) -> Result<Shown, Failure> {
    let document = read_document(&folder.join(DOCUMENT))?;
    let keys: KeysDocument = document.parse_unverified().map_err(|error| untrusted(&error))?;
    let envelope = folder.join(ROOT).exists().then(|| read_root(folder)).transpose()?;
    let root: Option<Document<Root>> = envelope.clone().and_then(|root| root.document().ok());
    let against = match federation {
        None => None,
        Some(federation) => {
            let current = federation.keys_document()?;
            let before = draft::root_in_force(None, federation).ok();
            let (comes, goes) = changes(&current, &keys);
            let fits = must_fit(&keys, envelope.as_ref(), &current, before.as_deref());
            Some(Against {
                in_force: current.serial,
                before: signatures(&document, &current.founder),
                comes,
                goes,
                unfit: fits.err().map(|failure| failure.reasons_in_short()),
                root_unseen: before.is_none() || envelope.is_none(),
            })
        }
    };
    let after = signatures(&document, &keys.founder);
    let root = root.map(|root| (root.signed.version, root.signed.expires.0));
    Ok(Shown::new(&keys, Some(Candidate { after, root, against })))
}

/// The ledger's keys as verifier keys (C2SP signed-note).
fn verifier_keys(keys: &KeysDocument) -> Vec<String> {
    ledger_keys(keys, |_| true).unwrap_or_default().iter().map(ToString::to_string).collect()
}

impl Shown {
    fn new(keys: &KeysDocument, candidate: Option<Candidate>) -> Self {
        Self {
            serial: keys.serial,
            trust_domain: keys.trust_domain.to_string(),
            issued: keys.issued,
            founder_threshold: keys.founder.threshold(),
            organism_threshold: keys.organism.threshold(),
            keys: listed(keys),
            ledger: verifier_keys(keys),
            candidate,
        }
    }

    pub(super) fn report(&self, out: &Output) -> String {
        let mut pairs = vec![
            ("federation", self.trust_domain.clone()),
            ("keys document", format!("{}, of {}", self.serial, self.issued)),
            ("Founder", format!("{} must sign", self.founder_threshold)),
            ("Organism", format!("{} must sign", self.organism_threshold)),
        ];
        pairs.extend(self.ledger.iter().map(|key| ("ledger's key", key.clone())));
        let keys = table(&self.keys, out);
        let Some(candidate) = &self.candidate else { return Output::parts(&[Output::pairs(&pairs), keys]) };
        pairs.extend(
            candidate.root.map(|(version, until)| ("TUF root", format!("{version}, good until {until}"))),
        );
        let Some(against) = &candidate.against else {
            pairs.push((
                "signed",
                format!("{} of the Founder keys that it names itself", of(candidate.after)),
            ));
            let unproved =
                "Nobody vouches for it here: --federation names no folder with founder.json.".to_owned();
            return Output::parts(&[Output::pairs(&pairs), keys, unproved]);
        };
        pairs.push(("Founder in force", of(against.before)));
        pairs.push(("Founder to come", of(candidate.after)));
        pairs.push(("in force here", format!("keys document {}", against.in_force)));
        let fits = match (&against.unfit, against.root_unseen) {
            (Some(why), _) => format!("no: {why}"),
            (None, true) => "the keys document does; the TUF root was not looked at".to_owned(),
            (None, false) => "yes, both".to_owned(),
        };
        pairs.push(("may follow", fits));
        let unchanged = against.comes.is_empty() && against.goes.is_empty();
        Output::parts(&[
            Output::pairs(&pairs),
            keys,
            part("Comes:", &against.comes, out),
            part("Goes:", &against.goes, out),
            if unchanged { "No key comes, and none goes.".to_owned() } else { String::new() },
        ])
    }
}
