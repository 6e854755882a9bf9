//! Signs a draft: every holder adds a signature to both documents, those in force and those that come.
//!
//! Never signs what differs from what the holders before have signed: the folder itself is what gathers signatures.

use std::path::{Path, PathBuf};

use clap::Args;
use governance::{Span, Timestamp};
use proof::tuf::{Document, Envelope, Fault, ROOT_BYTES_MAX, Root, root_follows};
use proof::{Jws, KeySet, KeysDocument, Sign as _, Typ};
use serde::Serialize;
use trust::{KeySource, Secrets, Signer};

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
    /// None before the first signature.
    document: Option<Jws>,
    keys: KeysDocument,
    root: Envelope,
}

/// What is about to be signed, and what is in force.
pub(super) struct Prepared {
    held: Held,
    current: KeysDocument,
    root_before: Vec<u8>,
}

/// Drafts the documents, or reads those that were begun; nothing is signed or written.
///
/// # Errors
/// When they contradict themselves or what is in force.
pub(super) fn prepare(
    args: &KeysSignArgs,
    now: Timestamp,
    secrets: &mut Secrets,
) -> Result<Prepared, Failure> {
    let folder = Folder::new(&args.federation);
    let current = folder.keys_document()?;
    let root_before = draft::root_in_force(args.tuf_root.as_deref(), &folder)?;
    let held = if args.out.join(DOCUMENT).exists() {
        if !args.changes.is_empty() {
            let detail = format!("{} was begun already, and changes are named", args.out.display());
            let hint = "leave the changes out to sign what was begun, or choose another --out";
            return Err(Failure::usage(detail, hint));
        }
        let held = read(&args.out)?;
        must_fit(&held.keys, Some(&held.root), &current, Some(&root_before))?;
        held
    } else {
        let keys = draft::document(&current, &args.changes, now, args.expires, secrets)?;
        let root = draft::root(&keys, &root_before, now + args.expires)?;
        Held { document: None, keys, root }
    };
    Ok(Prepared { held, current, root_before })
}

impl Prepared {
    /// What whoever signs is about to sign, for people.
    pub(super) fn report(&self, out: &Output) -> String {
        let (comes, goes) = changes(&self.current, &self.held.keys);
        let title =
            format!("Keys document {}, which comes after {}:", self.held.keys.serial, self.current.serial);
        let changed = match comes.is_empty() && goes.is_empty() {
            true => "No key comes, and none goes.".to_owned(),
            false => Output::parts(&[part("Comes:", &comes, out), part("Goes:", &goes, out)]),
        };
        Output::parts(&[title, changed])
    }
}

/// Adds the signatures, and writes both.
///
/// # Errors
/// When a key is not the Founder's, or does not sign.
pub(super) fn sign(
    args: &KeysSignArgs,
    prepared: Prepared,
    secrets: &mut Secrets,
) -> Result<SignedKeys, Failure> {
    let Prepared { mut held, current, root_before } = prepared;
    let keys = args.keys.iter().map(|key| key.open(secrets)).collect::<Result<Vec<_>, _>>()?;
    for (key, name) in keys.iter().zip(&args.keys) {
        add(&mut held, key, name, &current)?;
    }
    let document =
        held.document.ok_or_else(|| Failure::usage("no key to sign with", "name one with --key"))?;
    std::fs::create_dir_all(&args.out).map_err(|error| Failure::file(&args.out, "make it", &error))?;
    let root = held.root.to_bytes().map_err(|fault| broken(&fault))?;
    write_whole(&args.out.join(ROOT), &root)?;
    // Last: where it is, both are.
    write_whole(&args.out.join(DOCUMENT), document.to_json().as_bytes())?;
    progressed(&args.out, (&document, &held.keys, &held.root), &current, &root_before)
}

fn read(folder: &Path) -> Result<Held, Failure> {
    let document = read_document(&folder.join(DOCUMENT))?;
    let keys = document.parse_unverified().map_err(|error| untrusted(&error))?;
    Ok(Held { document: Some(document), keys, root: read_root(folder)? })
}

pub(super) fn read_root(folder: &Path) -> Result<Envelope, Failure> {
    let root = read_bytes(&folder.join(ROOT), ROOT_BYTES_MAX)?;
    Envelope::parse(&root).map_err(|fault| broken(&fault))
}

/// What was begun elsewhere is signed only as this machine would have drafted it: the next of both, the root naming the people
/// of the document and nobody else.
pub(super) fn must_fit(
    keys: &KeysDocument,
    root: Option<&Envelope>,
    current: &KeysDocument,
    root_before: Option<&[u8]>,
) -> Result<(), Failure> {
    let differs = |why: &str| {
        let hint = "ask whoever drafted it; nothing was signed";
        Err(Failure::new("keys-differ", "AU-4", why.to_owned(), hint))
    };
    let KeysDocument { serial, trust_domain, root_ca, ledger_origin, .. } = keys;
    if *serial != current.serial + 1 {
        return differs("the keys document does not follow the one in force here");
    }
    if (trust_domain, root_ca, ledger_origin)
        != (&current.trust_domain, &current.root_ca, &current.ledger_origin)
    {
        return differs("the keys document is of another federation, root CA or ledger");
    }
    keys.validate().map_err(|error| {
        Failure::new("keys-contradict", "AU-4", error.to_string(), "ask whoever drafted it")
    })?;
    let (Some(root), Some(root_before)) = (root, root_before) else { return Ok(()) };
    let signed = |root: &Envelope| {
        let document: Result<Document<Root>, Fault> = root.clone().document();
        document.map(|document| document.signed).map_err(|fault| broken(&fault))
    };
    let found = signed(root)?;
    match found == signed(&draft::root(keys, root_before, found.expires.0)?)? {
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
    match &mut held.document {
        None => {
            let signed = Jws::sign_json(Typ::Keys, &held.keys, key).map_err(|error| untrusted(&error))?;
            held.document = Some(signed);
        }
        Some(document) if !document.key_ids().any(|signed| signed == id) => {
            document.add_signature(Typ::Keys, key).map_err(|error| untrusted(&error))?;
        }
        Some(_) => {}
    }
    held.root.sign(key).map_err(|fault| match fault {
        Fault::Sign(error) => error.into(),
        fault => broken(&fault),
    })
}

fn progressed(
    folder: &Path,
    (document, keys, root): (&Jws, &KeysDocument, &Envelope),
    current: &KeysDocument,
    root_before: &[u8],
) -> Result<SignedKeys, Failure> {
    let before = Document::<Root>::parse(root_before).map_err(|fault| broken(&fault))?.signed;
    let root: Document<Root> = root.clone().document().map_err(|fault| broken(&fault))?;
    let (comes, goes) = changes(current, keys);
    let complete = current.open_successor(document).is_ok() && root_follows(&root, &before).is_ok();
    Ok(SignedKeys {
        folder: folder.to_path_buf(),
        serial: keys.serial,
        root_version: root.signed.version,
        root_expires: root.signed.expires.0,
        comes,
        goes,
        before: signatures(document, &current.founder),
        after: signatures(document, &keys.founder),
        complete,
    })
}

/// Valid signatures of a set's keys, and how many must be.
pub(super) fn signatures(document: &Jws, set: &KeySet) -> (usize, u32) {
    (progress(document, Typ::Keys, Some(set)).0, set.threshold())
}

/// Which keys come, and which go.
pub(super) fn changes(was: &KeysDocument, is: &KeysDocument) -> (Vec<Listed>, Vec<Listed>) {
    let (was, is) = (listed(was), listed(is));
    let comes = is.iter().filter(|key| !was.contains(key)).cloned().collect();
    let goes = was.iter().filter(|key| !is.contains(key)).cloned().collect();
    (comes, goes)
}

pub(super) fn untrusted(error: &proof::JwsError) -> Failure {
    Failure::untrusted("the keys document", "AU-4", error)
}

fn broken(fault: &dyn std::fmt::Display) -> Failure {
    let hint = "choose another --out to draft it anew, or name the published root with --tuf-root FILE";
    Failure::new("tuf-malformed", "RL-3", format!("the TUF root: {fault}"), hint)
}

/// The report for people: how far it has come, and what is next.
pub(super) fn report(signed: &SignedKeys) -> String {
    let pairs = Output::pairs(&[
        ("keys document", signed.serial.to_string()),
        ("TUF root", format!("{}, good until {}", signed.root_version, signed.root_expires)),
        ("Founder in force", of(signed.before)),
        ("Founder to come", of(signed.after)),
    ]);
    let folder = signed.folder.display();
    let next = if signed.complete {
        format!(
            "Put both into force, by an order of the Founder:\n  \
             fedplane order sign --do keys --document {folder}/{DOCUMENT} --tuf-root {folder}/{ROOT} --key KEY --out order.json\n  \
             fedplane order submit order.json\n  \
             fedplane keys adopt {folder}"
        )
    } else {
        format!(
            "Next holder, to see what it is and to sign it with another key:\n  \
             fedplane keys show {folder}\n  \
             fedplane keys sign --out {folder} --key KEY"
        )
    };
    Output::parts(&[pairs, next])
}

pub(super) fn of((count, needed): (usize, u32)) -> String {
    format!("{count} of {needed} signatures")
}

/// Keys under a title; nothing where there are none.
pub(super) fn part(title: &str, keys: &[Listed], out: &Output) -> String {
    match keys {
        [] => String::new(),
        keys => format!("{title}\n{}", table(keys, out)),
    }
}
