//! Signs a draft: every holder adds a signature to both documents, those in force and those that come.
//!
//! Never signs what differs from what the holders before have signed: the folder itself is what gathers signatures.

use std::path::{Path, PathBuf};

use clap::Args;
use governance::{Span, Timestamp};
use proof::tuf::{Document, Envelope, Fault, ROOT_BYTES_MAX, Root, root_follows};
use proof::{Jws, KeySet, KeysDocument, Sign as _, Typ};
use serde::Serialize;
use trust::{KeySource, Signer};

use super::draft::{self, Changes};
use super::{DOCUMENT, Listed, ROOT, listed, table};
use crate::commands::order::progress;
use crate::folder::{Folder, read_bytes, read_document, write_whole};
use crate::secrets::SecretArgs;
use crate::{Failure, Output};

/// What to change, and with which keys to sign it.
#[derive(Args, Clone, Debug)]
pub struct KeysSignArgs {
    /// The folder of the two documents; run again with it to add signatures.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A Founder key to sign with, one in force or one that comes: a file or a `pkcs11:` URI; may be repeated.
    #[arg(long = "key", value_name = "KEY", required = true, num_args = 1..)]
    pub keys: Vec<KeySource>,
    /// What opens the keys, where they are encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// What is to change.
    #[command(flatten)]
    pub changes: Changes,
    /// How long new online keys and the TUF root count.
    #[arg(long, value_name = "DURATION", default_value = "365d")]
    pub expires: Span,
    /// The TUF root in force, instead of the folder's.
    #[arg(long, value_name = "FILE")]
    pub tuf_root: Option<PathBuf>,
    /// The federation's folder: gives the keys document in force, and the root keys.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    pub federation: PathBuf,
}

/// How far the documents have come.
#[derive(Clone, Debug, Serialize)]
pub struct SignedKeys {
    /// Where they are.
    pub folder: PathBuf,
    /// The serial of the keys document.
    pub serial: u64,
    /// The version of the TUF root.
    pub root_version: u64,
    /// The last instant of the TUF root.
    pub root_expires: Timestamp,
    /// Keys that come.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comes: Vec<Listed>,
    /// Keys that go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    goes: Vec<Listed>,
    /// Signatures of the Founder keys in force, and how many must be.
    pub before: (usize, u32),
    /// The same of those that come.
    pub after: (usize, u32),
    /// Whether both documents can be put into force.
    pub complete: bool,
}

/// Both documents on their way.
struct Held {
    document: Jws,
    keys: KeysDocument,
    root: Envelope,
}

/// Drafts the documents, or reads those that were begun, and adds signatures.
///
/// # Errors
/// When they contradict themselves or what is in force, or a key is not the Founder's.
pub(super) fn sign(args: &KeysSignArgs, now: Timestamp) -> Result<SignedKeys, Failure> {
    let folder = Folder::new(&args.federation);
    let current = folder.keys_document()?;
    let root_before = draft::root_in_force(args.tuf_root.as_deref(), &folder)?;
    let mut secrets = args.secrets.secrets()?;
    let keys = args.keys.iter().map(|key| key.open(&mut secrets)).collect::<Result<Vec<_>, _>>()?;
    let mut held = if args.out.join(DOCUMENT).exists() {
        if !args.changes.is_empty() {
            let detail = format!("{} was begun already, and changes are named", args.out.display());
            let hint = "leave the changes out to sign what was begun, or choose another --out";
            return Err(Failure::usage(detail, hint));
        }
        let held = read(&args.out)?;
        must_fit(&held, &current, &root_before)?;
        held
    } else {
        let next = draft::document(&current, &args.changes, now, args.expires, &mut secrets)?;
        let root = draft::root(&next, &root_before, now + args.expires)?;
        let first =
            keys.first().ok_or_else(|| Failure::usage("no key to sign with", "name one with --key"))?;
        let document = Jws::sign_json(Typ::Keys, &next, first).map_err(|error| untrusted(&error))?;
        Held { document, keys: next, root }
    };
    for (key, name) in keys.iter().zip(&args.keys) {
        add(&mut held, key, name, &current)?;
    }
    std::fs::create_dir_all(&args.out).map_err(|error| Failure::file(&args.out, "make it", &error))?;
    let root = held.root.to_bytes().map_err(|fault| broken(&fault))?;
    write_whole(&args.out.join(ROOT), &root)?;
    // Last: where it is, both are.
    write_whole(&args.out.join(DOCUMENT), held.document.to_json().as_bytes())?;
    progressed(&args.out, &held, &current, &root_before)
}

fn read(folder: &Path) -> Result<Held, Failure> {
    let document = read_document(&folder.join(DOCUMENT))?;
    let keys = document.parse_unverified().map_err(|error| untrusted(&error))?;
    let root = read_bytes(&folder.join(ROOT), ROOT_BYTES_MAX)?;
    let root = Envelope::parse(&root).map_err(|fault| broken(&fault))?;
    Ok(Held { document, keys, root })
}

/// What was begun elsewhere is signed only as this machine would have drafted it: the next of both, the root naming the people
/// of the document and nobody else.
fn must_fit(held: &Held, current: &KeysDocument, root_before: &[u8]) -> Result<(), Failure> {
    let differs = |why: &str| {
        let hint = "ask whoever drafted it; nothing was signed";
        Err(Failure::new("keys-differ", "AU-4", why.to_owned(), hint))
    };
    let KeysDocument { serial, trust_domain, root_ca, ledger_origin, .. } = &held.keys;
    if *serial != current.serial + 1 {
        return differs("the keys document does not follow the one in force here");
    }
    if (trust_domain, root_ca, ledger_origin)
        != (&current.trust_domain, &current.root_ca, &current.ledger_origin)
    {
        return differs("the keys document is of another federation, root CA or ledger");
    }
    held.keys.validate().map_err(|error| {
        Failure::new("keys-contradict", "AU-4", error.to_string(), "ask whoever drafted it")
    })?;
    let signed = |root: &Envelope| {
        let document: Result<Document<Root>, Fault> = root.clone().document();
        document.map(|document| document.signed).map_err(|fault| broken(&fault))
    };
    let found = signed(&held.root)?;
    match found == signed(&draft::root(&held.keys, root_before, found.expires.0)?)? {
        true => Ok(()),
        false => differs(
            "the TUF root names other keys than the keys document, or does not follow the one in force",
        ),
    }
}

fn add(held: &mut Held, key: &Signer, name: &KeySource, current: &KeysDocument) -> Result<(), Failure> {
    let id = key.key_id();
    if [&current.founder, &held.keys.founder].iter().all(|set| set.find(id).is_none()) {
        let detail = format!("{name}: the key {id} is no Founder key, neither in force nor to come");
        let hint = "`fedplane keys show` lists those in force";
        return Err(Failure::new("unknown-key", "AU-4", detail, hint));
    }
    if !held.document.key_ids().any(|signed| signed == id) {
        held.document.add_signature(Typ::Keys, key).map_err(|error| untrusted(&error))?;
    }
    held.root.sign(key).map_err(|fault| match fault {
        Fault::Sign(error) => error.into(),
        fault => broken(&fault),
    })
}

fn progressed(
    folder: &Path,
    held: &Held,
    current: &KeysDocument,
    root_before: &[u8],
) -> Result<SignedKeys, Failure> {
    let before = Document::<Root>::parse(root_before).map_err(|fault| broken(&fault))?.signed;
    let root: Document<Root> = held.root.clone().document().map_err(|fault| broken(&fault))?;
    let of = |set: &KeySet| (progress(&held.document, Typ::Keys, Some(set)).0, set.threshold());
    let (was, is) = (listed(current), listed(&held.keys));
    let complete = current.open_successor(&held.document).is_ok() && root_follows(&root, &before).is_ok();
    Ok(SignedKeys {
        folder: folder.to_path_buf(),
        serial: held.keys.serial,
        root_version: root.signed.version,
        root_expires: root.signed.expires.0,
        comes: is.iter().filter(|key| !was.contains(key)).cloned().collect(),
        goes: was.iter().filter(|key| !is.contains(key)).cloned().collect(),
        before: of(&current.founder),
        after: of(&held.keys.founder),
        complete,
    })
}

fn untrusted(error: &proof::JwsError) -> Failure {
    Failure::untrusted("the keys document", "AU-4", error)
}

fn broken(fault: &dyn std::fmt::Display) -> Failure {
    let hint = "choose another --out to draft it anew, or name the published root with --tuf-root FILE";
    Failure::new("tuf-malformed", "RL-3", format!("the TUF root: {fault}"), hint)
}

/// The report for people: what they signed, and what comes next.
pub(super) fn report(signed: &SignedKeys, out: &Output) -> String {
    let of = |(count, needed): (usize, u32)| format!("{count} of {needed} signatures");
    let pairs = Output::pairs(&[
        ("keys document", signed.serial.to_string()),
        ("TUF root", format!("{}, good until {}", signed.root_version, signed.root_expires)),
        ("Founder in force", of(signed.before)),
        ("Founder to come", of(signed.after)),
    ]);
    let part = |title: &str, keys: &[Listed]| match keys {
        [] => String::new(),
        keys => format!("{title}\n{}", table(keys, out)),
    };
    let folder = signed.folder.display();
    let next = if signed.complete {
        format!(
            "Put both into force, by an order of the Founder:\n  \
             fedplane order sign --do keys --document {folder}/{DOCUMENT} --tuf-root {folder}/{ROOT} --key KEY --out order.json\n  \
             fedplane order submit order.json\n  \
             fedplane keys adopt {folder}"
        )
    } else {
        format!("Next holder, with another key: fedplane keys sign --out {folder} --key KEY")
    };
    Output::parts(&[pairs, part("Comes:", &signed.comes), part("Goes:", &signed.goes), next])
}
