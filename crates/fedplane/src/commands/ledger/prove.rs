//! `ledger prove` and `ledger check-proof`: that one decision stands in the log, for whoever holds the root keys and nothing
//! else (LG-2).
//!
//! Never says that the decision was lawful: `ledger verify` does, over the whole log.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use governance::InstanceId;
use ledger::checkpoint::ledger_keys;
use ledger::log_proof::PROOF_BYTES_MAX;
use ledger::{Entry, Hash, LogProof};
use proof::KeysDocument;
use serde::Serialize;

use super::witnessed::{self, WitnessArgs, Witnessed};
use crate::connect::ConnectArgs;
use crate::folder::{Folder, read_bytes, read_keys_document, read_root_keys, write_whole};
use crate::{Failure, Output, values};

/// Which entry to prove.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("which").required(true).args(["position", "decision"])))]
pub(super) struct ProveArgs {
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
    /// The entry's position, counted from 0.
    #[arg(value_parser = values::number::<u64>)]
    position: Option<u64>,
    /// The number of a decision about --instance, counted from 1.
    #[arg(long, value_name = "N", value_parser = values::number::<u64>, requires = "instance")]
    decision: Option<u64>,
    /// The instance that the decision is about.
    #[arg(long, value_name = "ID", value_parser = values::instance, requires = "decision")]
    instance: Option<InstanceId>,
    /// The proof's file, as decision.tlog-proof.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Which proof to check, and by which keys.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckProofArgs {
    /// The proof (C2SP tlog-proof).
    file: PathBuf,
    /// The root keys, got by a way you trust [default: founder.json of --federation].
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The keys document that they signed, which names the ledger's keys [default: keys.json of --federation].
    #[arg(long = "keys-document", value_name = "FILE")]
    keys_document: Option<PathBuf>,
    /// The federation's folder: gives what is not said.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    federation: PathBuf,
    /// Who must have cosigned its checkpoint.
    #[command(flatten)]
    witnesses: WitnessArgs,
}

/// A decision that stands in the log.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ProvenEntry {
    /// Always true: what is not proved is a failure.
    proven: bool,
    /// Where it stands.
    position: u64,
    /// The entries that the checkpoint covers.
    size: u64,
    /// The root that it signs.
    root: Hash,
    /// The entry.
    entry: Entry,
    /// Witnesses that cosigned the checkpoint, of those that were asked for.
    witnesses: Vec<Witnessed>,
}

impl ProveArgs {
    /// Asks for the proof, and keeps it once it holds by the keys in the folder.
    pub(super) async fn prove(&self) -> Result<ProvenEntry, Failure> {
        let client = self.connect.client()?;
        let text = match (self.position, self.instance, self.decision) {
            (Some(position), ..) => client.ledger_proof(position).await?,
            (None, Some(id), Some(number)) => client.decision_proof(id, number).await?,
            _ => {
                return Err(Failure::usage(
                    "no entry is named",
                    "name a position, or --instance and --decision",
                ));
            }
        };
        let (folder, witnesses) = (self.connect.folder(), WitnessArgs::default());
        let proven = proven(text.as_bytes(), &folder.keys_document()?, &witnesses, &folder)?;
        write_whole(&self.out, text.as_bytes())?;
        Ok(proven)
    }

    pub(super) fn report(&self, proven: &ProvenEntry) -> String {
        let file = self.out.display();
        format!(
            "{}\n\nThe proof is in {file}. Whoever holds the root keys checks it: fedplane ledger check-proof {file}",
            shown(proven)
        )
    }
}

impl CheckProofArgs {
    /// Checks the proof; nothing is asked of anybody.
    pub(super) fn check(&self) -> Result<ProvenEntry, Failure> {
        let folder = Folder::new(&self.federation);
        let root = read_root_keys(self.root.as_ref().unwrap_or(&folder.founder()))?;
        let keys = read_keys_document(self.keys_document.as_ref().unwrap_or(&folder.keys()), &root)?;
        let bytes = read_bytes(&self.file, PROOF_BYTES_MAX as u64)?;
        proven(&bytes, &keys, &self.witnesses, &folder)
    }
}

/// What a proof proves by any of the ledger's keys that the document names.
fn proven(
    bytes: &[u8],
    keys: &KeysDocument,
    witnesses: &WitnessArgs,
    folder: &Folder,
) -> Result<ProvenEntry, Failure> {
    let breach = |error: &dyn std::fmt::Display| {
        let hint =
            "ask for the proof anew; if it fails again, keep it as evidence and run `fedplane ledger verify`";
        Failure::new("proof-broken", "LG-2", error.to_string(), hint)
    };
    let proof = LogProof::parse(bytes).map_err(|error| breach(&error))?;
    let mut last = None;
    for key in ledger_keys(keys, |_| true).map_err(|error| breach(&error))? {
        match proof.verify(&key) {
            Ok(proven) => {
                let entry = Entry::decode(proven.entry).map_err(|error| breach(&error))?;
                let (position, head) = (proven.position, proven.head);
                let (size, root) = (head.size, head.root);
                let witnesses = witnesses.check(proof.checkpoint(), folder)?;
                return Ok(ProvenEntry { proven: true, position, size, root, entry, witnesses });
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| breach(&"the keys document names no key for the ledger"), |error| breach(&error)))
}

pub(super) fn shown(proven: &ProvenEntry) -> String {
    let ProvenEntry { position, size, root, entry, witnesses, .. } = proven;
    let pairs = Output::pairs(&[
        ("entry", format!("{position} of {size}, under root {root}")),
        ("decided", entry.at.to_string()),
        ("rule", entry.rule.clone()),
        ("authority", entry.authority.to_string()),
        ("asked by", entry.actor.clone().unwrap_or_else(|| "-".to_owned())),
        ("witnesses", witnessed::shown(witnesses)),
        ("event", serde_json::to_string(&entry.event).unwrap_or_default()),
    ]);
    format!("It stands in the ledger.\n\n{pairs}")
}
