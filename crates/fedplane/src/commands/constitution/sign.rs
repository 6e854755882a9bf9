//! The order that amends the constitution (FO-5), signed in two rounds into one file: first the constitution itself, as a
//! document of its own that the plane publishes, then the order that carries it.
//!
//! Never signs what differs from what the holders before have signed: the file itself is what gathers signatures.

use std::path::{Path, PathBuf};

use clap::Args;
use governance::{ConstitutionDocument, Digest, Span, Timestamp};
use proof::order::{Order, OrderAction};
use proof::{Jws, KeySet, Typ};
use serde::Serialize;
use trust::{KeySource, Signer};

use super::diff::{Change, changes, table};
use super::source::{Law, in_force, of_file};
use crate::commands::order::{EXPIRES_AFTER, must_stand, progress, root_keys, serial_of, signing_keys};
use crate::connect::ConnectArgs;
use crate::folder::{read_document, write_whole};
use crate::secrets::SecretArgs;
use crate::{Failure, Output, law, values};

/// Which constitution to put in the place of which, and with which keys to sign that.
#[derive(Args, Clone, Debug)]
pub struct AmendArgs {
    /// The new constitution, whole (TOML; parameters left out have their defaults, not what is in force); not needed
    /// where ORDER was begun before.
    pub file: Option<PathBuf>,
    /// The order's file, which gathers the signatures.
    #[arg(long, value_name = "ORDER")]
    pub out: PathBuf,
    /// A Founder key to sign with, a file or a `pkcs11:` URI; may be repeated.
    #[arg(long = "key", value_name = "KEY", required = true, num_args = 1..)]
    pub keys: Vec<KeySource>,
    /// What opens the keys, where they are encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// The signed constitution that is replaced, as constitution.sig [default: the one in force at the plane].
    #[arg(long, value_name = "FILE")]
    pub replaces: Option<PathBuf>,
    /// From when it holds, as 2027-01-01T00:00:00Z [default: the present instant].
    #[arg(long, value_name = "INSTANT")]
    pub effective: Option<Timestamp>,
    /// The order's number, above the last order's [default: the present time in milliseconds].
    #[arg(long, value_name = "N", value_parser = values::number::<u64>)]
    pub serial: Option<u64>,
    /// How long the order may be handed in, from the second round on [default: 1h].
    #[arg(long, value_name = "DURATION")]
    pub expires: Option<Span>,
    /// The root keys, which say how many must sign [default: founder.json of --federation].
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// The federation's folder.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    pub federation: PathBuf,
    /// Without --replaces: the plane's address instead of the folder's, as `https://plane.example:8443`.
    #[arg(
        long,
        env = "FEDPLANE_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    pub url: Option<String>,
    /// Without --replaces: the operator's certificate (PEM) instead of the folder's.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub cert: Option<PathBuf>,
    /// Without --replaces: the operator's private key instead of the folder's.
    #[arg(long = "operator-key", value_name = "KEY", help_heading = "Connection")]
    pub operator_key: Option<KeySource>,
    /// Without --replaces: the root CA's certificate (PEM) instead of the one in the folder's keys document.
    #[arg(long = "root-ca", value_name = "FILE", help_heading = "Connection")]
    pub root_ca: Option<PathBuf>,
}

/// How far an amendment has come.
#[derive(Clone, Debug, Serialize)]
pub struct SignedAmendment {
    /// Its file.
    pub file: PathBuf,
    /// The digest of the new constitution.
    pub constitution: Digest,
    /// The digest of the one it replaces.
    pub replaces: Digest,
    /// From when it holds.
    pub effective: Timestamp,
    /// What it changes, where the replaced one was at hand.
    pub changes: Option<Vec<Change>>,
    /// Signatures that are needed, of the constitution and of the order.
    pub needed: u32,
    /// Valid signatures of the constitution: the first round.
    pub constitution_signatures: usize,
    /// The order's number and end, once the second round began.
    pub order: Option<Begun>,
    /// Whether it can be handed in.
    pub complete: bool,
}

/// An order in its second round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Begun {
    /// Its number.
    pub serial: u64,
    /// The last instant it may be handed in.
    pub expires: Timestamp,
    /// Its valid signatures.
    pub signatures: usize,
}

/// What an amendment's file holds so far.
enum Held {
    Constitution(Jws),
    Order(Jws, Order),
}

/// The constitution that is replaced: the one named, or where an amendment begins the one in force.
///
/// # Errors
/// When it cannot be had, or the Founder did not sign it.
pub(super) async fn replaced(args: &AmendArgs) -> Result<Option<Law>, Failure> {
    if let Some(path) = &args.replaces {
        let root = root_keys(args.root.as_deref(), &args.federation)?;
        return of_file(path, root.as_ref())?.must_be_signed().map(Some);
    }
    if args.out.exists() || args.file.is_none() {
        return Ok(None);
    }
    let connect = ConnectArgs {
        federation: args.federation.clone(),
        url: args.url.clone(),
        cert: args.cert.clone(),
        operator_key: args.operator_key.clone(),
        root_ca: args.root_ca.clone(),
        secrets: args.secrets.clone(),
    };
    in_force(&connect).await.map(Some)
}

/// Begins an amendment's file or reads it, and adds signatures.
///
/// # Errors
/// When it says too little, contradicts itself, or differs from what is in the file, or a key is not the Founder's.
pub fn sign(args: &AmendArgs, replaced: Option<&Law>, now: Timestamp) -> Result<SignedAmendment, Failure> {
    let root = root_keys(args.root.as_deref(), &args.federation)?.ok_or_else(|| {
        let detail = "the root keys are not known, and so not how many must sign";
        Failure::new(
            "root-keys",
            "FO-1",
            detail,
            "name founder.json with --root, or its folder with --federation",
        )
    })?;
    let keys = signing_keys(&args.keys, Some(&root), &mut args.secrets.secrets()?)?;
    let held = if args.out.exists() { Some(read(&args.out)?) } else { None };
    let (mut document, mut order) = match held {
        None => {
            let content = draft(args, replaced, now)?;
            let document = Jws::sign_json(Typ::Constitution, &content, first(&keys)?);
            (document.map_err(|error| untrusted(&error))?, None)
        }
        Some(Held::Constitution(document)) => (document, None),
        Some(Held::Order(jws, order)) => (carried(&order)?, Some((jws, order))),
    };
    let content: ConstitutionDocument = document.parse_unverified().map_err(|error| untrusted(&error))?;
    must_agree(args, &content, replaced, order.as_ref().map(|(_, order)| order))?;
    for key in &keys {
        // Complete: one signature more would change the bytes that the order carries.
        if document.verify(Typ::Constitution, &root).is_ok() {
            break;
        }
        document.add_signature(Typ::Constitution, key).map_err(|error| untrusted(&error))?;
    }
    let replaces = content.previous.ok_or_else(|| not_an_amendment(&args.out))?;
    if document.verify(Typ::Constitution, &root).is_ok() {
        order = Some(sign_order(args, order, &document, &content, replaces, &keys, now)?);
    }
    let text = order.as_ref().map_or_else(|| document.to_json(), |(jws, _)| jws.to_json());
    write_whole(&args.out, text.as_bytes())?;
    let changes = replaced.map(|replaced| changes(&replaced.parameters, &content.parameters)).transpose()?;
    Ok(signed(args, &root, &document, &content, replaces, changes, order.as_ref()))
}

fn first(keys: &[Signer]) -> Result<&Signer, Failure> {
    keys.first().ok_or_else(|| Failure::usage("no key to sign with", "name one with --key FILE"))
}

fn untrusted(error: &proof::JwsError) -> Failure {
    Failure::untrusted("the amendment", "FO-5", error)
}

fn not_an_amendment(path: &Path) -> Failure {
    let detail = format!("{} holds no amendment", path.display());
    Failure::new("amendment-differs", "FO-5", detail, "choose another --out")
}

fn read(path: &Path) -> Result<Held, Failure> {
    let document = read_document(path)?;
    if let Ok(order) = document.parse_unverified::<Order>() {
        return Ok(Held::Order(document, order));
    }
    document.parse_unverified::<ConstitutionDocument>().map_err(|_| not_an_amendment(path))?;
    Ok(Held::Constitution(document))
}

/// The constitution that an order carries.
fn carried(order: &Order) -> Result<Jws, Failure> {
    match &order.action {
        OrderAction::Amend { constitution, .. } => Ok(constitution.clone()),
        other => {
            let detail = format!("the file holds an order to {}", other.as_str());
            Err(Failure::new("amendment-differs", "FO-5", detail, "choose another --out"))
        }
    }
}

/// The constitution that begins an amendment.
fn draft(args: &AmendArgs, replaced: Option<&Law>, now: Timestamp) -> Result<ConstitutionDocument, Failure> {
    let missing = |what: &str| {
        let detail = format!("{} does not exist yet, and {what} is not said", args.out.display());
        Failure::usage(
            detail,
            "a new amendment needs the new constitution's FILE, and --replaces or the plane",
        )
    };
    let file = args.file.as_ref().ok_or_else(|| missing("the new constitution"))?;
    let replaced = replaced.ok_or_else(|| missing("what it replaces"))?;
    let parameters = law::read(file)?;
    if parameters == replaced.parameters {
        let detail = format!("{} says what {} says already", file.display(), replaced.source);
        return Err(Failure::new("amendment-empty", "FO-5", detail, "there is nothing to amend"));
    }
    let effective = args.effective.unwrap_or(now);
    if effective < now {
        let detail = format!("--effective {effective} has passed: no law reaches back");
        return Err(Failure::new(
            "amendment-too-late",
            "FO-5",
            detail,
            "leave it out, or name a later instant",
        ));
    }
    Ok(ConstitutionDocument { previous: replaced.digest, effective, parameters })
}

/// Whatever the command line says beside the file must be what the file says.
fn must_agree(
    args: &AmendArgs,
    content: &ConstitutionDocument,
    replaced: Option<&Law>,
    order: Option<&Order>,
) -> Result<(), Failure> {
    let law = args.file.as_deref().map(law::read).transpose()?;
    let differs = [
        ("the constitution", law.is_some_and(|law| law != content.parameters)),
        ("--replaces", replaced.is_some_and(|replaced| replaced.digest != content.previous)),
        ("--effective", args.effective.is_some_and(|effective| effective != content.effective)),
        ("--serial", order.is_some_and(|order| args.serial.is_some_and(|serial| serial != order.serial))),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        None => Ok(()),
        Some((name, _)) => {
            let detail = format!("{} holds another amendment: {name} differs", args.out.display());
            let hint =
                "leave everything but --out and --key out to sign it as it is, or choose another --out";
            Err(Failure::new("amendment-differs", "FO-5", detail, hint))
        }
    }
}

/// The second round: the order that carries the constitution, with these keys' signatures.
fn sign_order(
    args: &AmendArgs,
    held: Option<(Jws, Order)>,
    document: &Jws,
    content: &ConstitutionDocument,
    replaces: Digest,
    keys: &[Signer],
    now: Timestamp,
) -> Result<(Jws, Order), Failure> {
    let (mut jws, order) = match held {
        Some((jws, order)) => (Some(jws), order),
        None => {
            let (constitution, effective) = (document.clone(), content.effective);
            let action = OrderAction::Amend { constitution, replaces, effective };
            let serial = args.serial.unwrap_or_else(|| serial_of(now));
            (None, Order { serial, expires: now + args.expires.unwrap_or(EXPIRES_AFTER), action })
        }
    };
    must_stand(&order, now)?;
    for key in keys {
        let done = match &mut jws {
            Some(jws) => jws.add_signature(Typ::Order, key),
            None => Jws::sign_json(Typ::Order, &order, key).map(|new| jws = Some(new)),
        };
        done.map_err(|error| untrusted(&error))?;
    }
    let jws = jws.ok_or_else(|| Failure::usage("no key to sign with", "name one with --key FILE"))?;
    Ok((jws, order))
}

fn signed(
    args: &AmendArgs,
    root: &KeySet,
    document: &Jws,
    content: &ConstitutionDocument,
    replaces: Digest,
    changes: Option<Vec<Change>>,
    order: Option<&(Jws, Order)>,
) -> SignedAmendment {
    let begun = order.map(|(jws, order)| Begun {
        serial: order.serial,
        expires: order.expires,
        signatures: progress(jws, Typ::Order, Some(root)).0,
    });
    SignedAmendment {
        file: args.out.clone(),
        constitution: document.digest(),
        replaces,
        effective: content.effective,
        changes,
        needed: root.threshold(),
        constitution_signatures: progress(document, Typ::Constitution, Some(root)).0,
        order: begun,
        complete: order.is_some_and(|(jws, _)| jws.verify(Typ::Order, root).is_ok()),
    }
}

/// The report for people.
pub(super) fn report(signed: &SignedAmendment, out: &Output) -> String {
    let of = |signatures: usize| format!("{signatures} of {} signatures", signed.needed);
    let order = signed.order.map_or_else(
        || "waits until the constitution is complete".to_owned(),
        |order| format!("serial {}, good until {}, {}", order.serial, order.expires, of(order.signatures)),
    );
    let pairs = Output::pairs(&[
        ("replaces", signed.replaces.to_string()),
        ("effective", signed.effective.to_string()),
        ("constitution", of(signed.constitution_signatures)),
        ("order", order),
    ]);
    let file = signed.file.display();
    let again = format!("fedplane constitution sign --out {file} --key KEY");
    let next = match (signed.complete, signed.order) {
        (true, _) => format!("Hand it in: fedplane order submit {file}"),
        (false, None) => format!(
            "Round 1, the constitution. Next holder, with another key: {again}\n\
             Who completes it signs the order at once; --serial and --expires count from then on."
        ),
        (false, Some(_)) => format!(
            "Round 2, the order. Next holder, with a key that has not signed the order yet\n\
             (it may have signed the constitution): {again}"
        ),
    };
    let changes = match &signed.changes {
        Some(changes) => table(changes, out),
        None => format!("What it changes: fedplane constitution diff constitution.sig {file}"),
    };
    Output::parts(&[pairs, changes, next])
}
