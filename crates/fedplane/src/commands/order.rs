//! The Founder's orders (FO-1): signed offline by one holder after another, handed in by anyone with an operator's certificate.
//!
//! Never signs what differs from what the holders before have signed: the file itself is what gathers signatures.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use governance::{FindingCode, InstanceId, Span, Timestamp, Version};
use proof::order::{Order, OrderAction, OrderError, SignedRoot};
use proof::{Jws, KeySet, Typ};
use serde::Serialize;
use trust::{KeySource, Secrets, Signer};

use crate::connect::ConnectArgs;
use crate::folder::{Folder, read_document, read_root_keys, read_text, write_whole};
use crate::secrets::SecretArgs;
use crate::{Failure, Output, clock, values};

/// The Founder's orders (FO-1).
#[derive(Args, Clone, Debug)]
pub struct OrderArgs {
    #[command(subcommand)]
    command: OrderCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum OrderCommand {
    /// Signs an order, offline; run again on the same file with another key to add a signature.
    Sign(OrderSignArgs),
    /// Hands a signed order to the plane, which carries it out at once.
    Submit(SubmitArgs),
}

/// What to order, and with which keys to sign it.
#[derive(Args, Clone, Debug)]
pub struct OrderSignArgs {
    /// What to order; not needed where FILE holds the order already.
    #[arg(long = "do", value_enum)]
    pub action: Option<OrderWord>,
    /// The whole order in plain JSON, as the dashboard gives it, instead of saying what to order here. Read it before you sign.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["action", "serial", "expires"])]
    pub order: Option<PathBuf>,
    /// The instance it is about, for suspend, revoke, restore and override.
    #[arg(long, value_name = "ID", value_parser = values::instance)]
    pub instance: Option<InstanceId>,
    /// The release it is about, for resume, withdraw and remove.
    #[arg(long, value_name = "VERSION")]
    pub release: Option<Version>,
    /// The finding that override silences, as version-drift.
    #[arg(long, value_name = "CODE")]
    pub finding: Option<FindingCode>,
    /// Until when override silences it, as 2027-01-31T00:00:00Z; this instant is still inside.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// The capability that the release may remove before its notice is over, for remove.
    #[arg(long, value_name = "NAME")]
    pub capability: Option<String>,
    /// The signed keys document that comes into force, for keys.
    #[arg(long, value_name = "FILE")]
    pub document: Option<PathBuf>,
    /// The signed TUF root that comes into force with it, for keys [default: the last one stays].
    #[arg(long, value_name = "FILE", requires = "document")]
    pub tuf_root: Option<PathBuf>,
    /// Why; it stands in the ledger for good.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The order's number, above the last order's [default: the present time in milliseconds].
    #[arg(long, value_name = "N", value_parser = values::number::<u64>)]
    pub serial: Option<u64>,
    /// How long it may be handed in [default: 1h].
    #[arg(long, value_name = "DURATION")]
    pub expires: Option<Span>,
    /// A Founder key to sign with, a file or a `pkcs11:` URI; may be repeated.
    #[arg(long = "key", value_name = "KEY", required = true, num_args = 1..)]
    pub keys: Vec<KeySource>,
    /// What opens the keys, where they are encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// The order's file.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The root keys, to say how many signatures are missing [default: founder.json of --federation, if there is one].
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// The federation's folder.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    pub federation: PathBuf,
}

/// What the command line can order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OrderWord {
    /// Suspends the instance and holds it so (LC-16).
    Suspend,
    /// Revokes the instance: locks it out (LC-10).
    Revoke,
    /// Restores a revoked instance, or lifts the Founder's hold (LC-17).
    Restore,
    /// Lets the offers of a security release that failures paused go on, the count beginning anew (RO-5).
    Resume,
    /// Takes a release back (RO-5).
    Withdraw,
    /// Silences one finding of one instance until a date (FO-3).
    Override,
    /// Lets a release remove a capability before its notice is over (RL-8).
    Remove,
    /// Puts a new keys document into force (AU-4).
    Keys,
}

impl OrderWord {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Revoke => "revoke",
            Self::Restore => "restore",
            Self::Resume => "resume",
            Self::Withdraw => "withdraw",
            Self::Override => "override",
            Self::Remove => "remove",
            Self::Keys => "keys",
        }
    }
}

#[derive(Args, Clone, Debug)]
struct SubmitArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The order's file.
    file: PathBuf,
}

/// How far a document has come.
#[derive(Clone, Debug, Serialize)]
pub struct SignedOrder {
    /// Its file.
    pub file: PathBuf,
    /// The order.
    pub order: Order,
    /// Signatures that count; all of them where the root keys are not known.
    pub signatures: usize,
    /// Signatures needed, where the root keys are known.
    pub needed: Option<u32>,
}

impl SignedOrder {
    /// Whether enough keys have signed, as far as is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.needed
            .and_then(|needed| usize::try_from(needed).ok())
            .is_none_or(|needed| self.signatures >= needed)
    }
}

/// `fedplane order`.
///
/// # Errors
/// When the order cannot be made, signed or handed in.
pub async fn run(args: OrderArgs, out: &Output) -> Result<(), Failure> {
    match args.command {
        OrderCommand::Sign(args) => {
            let signed = sign(&args, clock::now())?;
            out.show(&signed, || report(&signed))
        }
        OrderCommand::Submit(SubmitArgs { connect, file }) => {
            let document = read_document(&file)?;
            // They only help to say what the file is; the plane judges it.
            let root = root_keys(None, &connect.federation).ok().flatten();
            let order = opened(&file, &document, root.as_ref())?;
            connect.client()?.order_submit(document).await?;
            out.show(&order, || {
                format!("Order {} to {} is carried out.", order.serial, order.action.as_str())
            })
        }
    }
}

/// Makes or reads the order's file and adds signatures.
///
/// # Errors
/// When the order says too little, or differs from the one in the file, or a key is not the Founder's.
pub fn sign(args: &OrderSignArgs, now: Timestamp) -> Result<SignedOrder, Failure> {
    let root = root_keys(args.root.as_deref(), &args.federation)?;
    let keys = signing_keys(&args.keys, root.as_ref(), &mut args.secrets.secrets()?)?;
    let mut document = match args.out.exists() {
        true => Some(read_document(&args.out)?),
        false => None,
    };
    let order = match &document {
        Some(document) => {
            let order = opened(&args.out, document, root.as_ref())?;
            must_agree(args, &order)?;
            order
        }
        None => match &args.order {
            Some(path) => {
                let order = drafted(path)?;
                must_agree(args, &order)?;
                order
            }
            None => draft(args, now)?,
        },
    };
    must_stand(&order, now)?;
    for key in &keys {
        let signed = match &mut document {
            Some(document) => document.add_signature(Typ::Order, key),
            None => Jws::sign_json(Typ::Order, &order, key).map(|new| document = Some(new)),
        };
        signed.map_err(|error| Failure::untrusted("the order", "FO-1", &error))?;
    }
    let document =
        document.ok_or_else(|| Failure::usage("no key to sign with", "name one with --key FILE"))?;
    write_whole(&args.out, document.to_json().as_bytes())?;
    let (signatures, needed) = progress(&document, Typ::Order, root.as_ref());
    Ok(SignedOrder { file: args.out.clone(), order, signatures, needed })
}

/// Refuses an order that the plane would refuse at once.
pub(super) fn must_stand(order: &Order, now: Timestamp) -> Result<(), Failure> {
    order.check(0, now).map_err(|error| {
        let hint = match &error {
            OrderError::Expired(_) => {
                "choose another --out and sign a new order; --expires says how long it may be handed in"
            }
            OrderError::Replayed { .. } => "leave --serial out, or give a number above the last order's",
            OrderError::Reason => "say why in a sentence: --reason TEXT",
            _ => "choose another --out and sign the order anew",
        };
        Failure::new("order", "FO-1", error.to_string(), hint)
    })
}

/// The keys of these names, each of the set where the set is known.
pub(super) fn signing_keys(
    names: &[KeySource],
    set: Option<&KeySet>,
    secrets: &mut Secrets,
) -> Result<Vec<Signer>, Failure> {
    let keys = names.iter().map(|name| name.open(secrets)).collect::<Result<Vec<_>, _>>()?;
    if let Some(set) = set {
        keys.iter().zip(names).try_for_each(|(key, name)| must_hold(set, key, name))?;
    }
    Ok(keys)
}

/// How many distinct keys of the set have validly signed, and how many must.
#[must_use]
pub fn progress(document: &Jws, typ: Typ, keys: Option<&KeySet>) -> (usize, Option<u32>) {
    let Some(keys) = keys else { return (document.key_ids().count(), None) };
    let valid = keys.keys().iter().filter(|key| document.verify_one(typ, key).is_ok()).count();
    (valid, Some(keys.threshold()))
}

/// Refuses a key that is not of the set: its signature would count for nothing.
///
/// # Errors
/// With where the key is, and its id.
pub fn must_hold(keys: &KeySet, key: &Signer, name: &KeySource) -> Result<(), Failure> {
    let id = proof::Sign::key_id(key);
    if keys.find(id).is_some() {
        return Ok(());
    }
    let detail = format!("{name}: the key {id} is none of the {} that may sign this", keys.keys().len());
    Err(Failure::new(
        "unknown-key",
        "AU-4",
        detail,
        "use a key of the authority that signs this: see the keys document",
    ))
}

/// The root keys: those named, else those of the federation's folder, if it has them.
pub(super) fn root_keys(root: Option<&Path>, federation: &Path) -> Result<Option<KeySet>, Failure> {
    let default = Folder::new(federation).founder();
    match root {
        Some(path) => read_root_keys(path).map(Some),
        None if default.exists() => read_root_keys(&default).map(Some),
        None => Ok(None),
    }
}

/// The order in a file, or what the file holds instead.
fn opened(path: &Path, document: &Jws, root: Option<&KeySet>) -> Result<Order, Failure> {
    let what = match document.typ_unverified() {
        Some(Typ::Constitution) => return Err(first_round(path, document, root)),
        Some(Typ::Keys) => "a keys document, which an order to `keys` puts into force",
        Some(Typ::Release) => "a release manifest",
        Some(Typ::Directive) => "a directive to an instance",
        Some(Typ::Answer) => "an instance's answer to a challenge",
        Some(Typ::Statement) => "an instance's version statement",
        Some(Typ::Entitlement | Typ::Activation) => "a token",
        Some(Typ::StatusList) => "a status list of tokens",
        Some(Typ::Order) | None => {
            return document
                .parse_unverified()
                .map_err(|error| Failure::untrusted("the order", "FO-1", &error));
        }
    };
    let detail = format!("{} holds {what}, and no order", path.display());
    let hint = "name a file that `fedplane order sign` or `fedplane constitution sign` made";
    Err(Failure::new("no-order", "FO-1", detail, hint))
}

/// An amendment whose order was not begun yet, or a constitution by itself.
fn first_round(path: &Path, document: &Jws, root: Option<&KeySet>) -> Failure {
    let file = path.display();
    let signatures = match progress(document, Typ::Constitution, root) {
        (count, Some(needed)) => format!("{count} of {needed} signatures"),
        (1, None) => String::from("1 signature"),
        (count, None) => format!("{count} signatures"),
    };
    let detail = format!(
        "{file} holds a constitution with {signatures}, and no order yet: of an amendment it is the first round, and the order that \
         carries it lacks all its signatures"
    );
    let hint = format!(
        "go on signing: fedplane constitution sign --out {file} --key KEY; once enough have signed the constitution, the second round \
         begins the order"
    );
    Failure::new("no-order", "FO-5", detail, hint)
}

/// An order's number where none is given: rises by itself.
pub(super) fn serial_of(now: Timestamp) -> u64 {
    now.as_millis().unsigned_abs()
}

/// How long an order may be handed in where nothing is said.
pub(super) const EXPIRES_AFTER: Span = Span::hours(1);

/// The order in a file that nobody has signed yet.
fn drafted(path: &Path) -> Result<Order, Failure> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|error| Failure::malformed(path, &error, "name the order as the dashboard gave it"))
}

fn draft(args: &OrderSignArgs, now: Timestamp) -> Result<Order, Failure> {
    let missing = |what: &str| {
        let detail = format!("{} does not exist yet, and {what} is not said", args.out.display());
        Failure::usage(
            detail,
            "a new order needs --do and what it is about: --instance; for override --finding and --until too; --release for \
             resume and withdraw, with --capability for remove; --document for keys; and --reason for all but keys",
        )
    };
    let action = args.action.ok_or_else(|| missing("--do"))?;
    let instance = || args.instance.ok_or_else(|| missing("--instance"));
    let release = || args.release.ok_or_else(|| missing("--release"));
    let reason = || args.reason.clone().ok_or_else(|| missing("--reason"));
    Ok(Order {
        serial: args.serial.unwrap_or_else(|| serial_of(now)),
        expires: now + args.expires.unwrap_or(EXPIRES_AFTER),
        action: match action {
            OrderWord::Suspend => OrderAction::Suspend { instance: instance()?, reason: reason()? },
            OrderWord::Revoke => OrderAction::Revoke { instance: instance()?, reason: reason()? },
            OrderWord::Restore => OrderAction::Restore { instance: instance()?, reason: reason()? },
            OrderWord::Resume => OrderAction::Resume { release: release()?, reason: reason()? },
            OrderWord::Withdraw => OrderAction::Withdraw { release: release()?, reason: reason()? },
            OrderWord::Override => OrderAction::Override {
                instance: instance()?,
                finding: args.finding.ok_or_else(|| missing("--finding"))?,
                until: args.until.ok_or_else(|| missing("--until"))?,
                reason: reason()?,
            },
            OrderWord::Remove => OrderAction::Remove {
                release: release()?,
                capability: args.capability.clone().ok_or_else(|| missing("--capability"))?,
                reason: reason()?,
            },
            OrderWord::Keys => {
                let file = args.document.as_ref().ok_or_else(|| missing("--document"))?;
                let root = args.tuf_root.as_deref().map(read_root).transpose()?;
                OrderAction::Keys { document: read_document(file)?, root }
            }
        },
    })
}

fn read_root(path: &Path) -> Result<SignedRoot, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file(path, "read it", &error))?;
    SignedRoot::new(bytes).map_err(|error| {
        let hint = "name the root that `keys sign` made, once the Founder threshold has signed it";
        Failure::new("untrusted", "RL-3", format!("{}: {error}", path.display()), hint)
    })
}

/// Whatever the command line says beside the file must be what the file says.
fn must_agree(args: &OrderSignArgs, order: &Order) -> Result<(), Failure> {
    let (finding, until) = match &order.action {
        OrderAction::Override { finding, until, .. } => (Some(*finding), Some(*until)),
        _ => (None, None),
    };
    let capability = match &order.action {
        OrderAction::Remove { capability, .. } => Some(capability),
        _ => None,
    };
    let (document, root) = match &order.action {
        OrderAction::Keys { document, root } => (Some(document), root.as_ref()),
        _ => (None, None),
    };
    let named = args.document.as_deref().map(read_document).transpose()?;
    let named_root = args.tuf_root.as_deref().map(read_root).transpose()?;
    let differs = [
        ("--do", args.action.is_some_and(|action| action.as_str() != order.action.as_str())),
        ("--instance", args.instance.is_some_and(|id| order.action.instance() != Some(id))),
        ("--release", args.release.is_some_and(|release| order.action.release() != Some(release))),
        ("--finding", args.finding.is_some() && args.finding != finding),
        ("--until", args.until.is_some() && args.until != until),
        ("--capability", args.capability.is_some() && args.capability.as_ref() != capability),
        ("--document", named.is_some() && named.as_ref() != document),
        ("--tuf-root", named_root.is_some() && named_root.as_ref() != root),
        ("--reason", args.reason.as_deref().is_some_and(|reason| order.action.reason() != Some(reason))),
        ("--serial", args.serial.is_some_and(|serial| serial != order.serial)),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        None => Ok(()),
        Some((name, _)) => {
            let detail = format!("{} holds another order: {name} differs", args.out.display());
            let hint = "leave the order's options out to sign it as it is, or choose another --out";
            Err(Failure::new("order-differs", "FO-1", detail, hint))
        }
    }
}

fn subject(action: &OrderAction) -> (&'static str, String) {
    match (action.instance(), action.release()) {
        (Some(id), _) => ("instance", id.to_string()),
        (None, Some(release)) => ("release", release.to_string()),
        (None, None) => ("about", "the federation".to_owned()),
    }
}

fn report(signed: &SignedOrder) -> String {
    let order = &signed.order;
    let signatures = match signed.needed {
        Some(needed) => format!("{} of {needed}", signed.signatures),
        None => signed.signatures.to_string(),
    };
    let pairs = Output::pairs(&[
        ("order", format!("{} (serial {})", order.action.as_str(), order.serial)),
        subject(&order.action),
        ("reason", order.action.reason().unwrap_or("-").to_owned()),
        ("good until", order.expires.to_string()),
        ("signatures", signatures),
    ]);
    let file = signed.file.display();
    let next = if signed.is_complete() {
        format!("Hand it in: fedplane order submit {file}")
    } else {
        format!("Next holder: fedplane order sign --out {file} --key KEY")
    };
    format!("{pairs}\n\n{next}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::Sign as _;
    use trust::SigningKey;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    struct Ceremony {
        folder: tempfile::TempDir,
        root: KeySet,
    }

    impl Ceremony {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let key = |name: &str| *SigningKey::create(&folder.path().join(name)).unwrap().public_key();
            let root = KeySet::new(2, vec![key("1.key"), key("2.key"), key("3.key")]).unwrap();
            key("stranger.key");
            let text = serde_json::to_string(&root).unwrap();
            std::fs::write(folder.path().join("founder.json"), text).unwrap();
            Self { folder, root }
        }

        fn args(&self, key: &str) -> OrderSignArgs {
            OrderSignArgs {
                action: Some(OrderWord::Revoke),
                order: None,
                instance: Some(InstanceId::from_random([1; 16])),
                release: None,
                finding: None,
                until: None,
                capability: None,
                document: None,
                tuf_root: None,
                reason: Some("stolen".to_owned()),
                serial: None,
                expires: None,
                keys: vec![self.folder.path().join(key).into()],
                secrets: SecretArgs::default(),
                out: self.folder.path().join("order.json"),
                root: None,
                federation: self.folder.path().to_owned(),
            }
        }
    }

    #[test]
    fn fo_1_holders_sign_one_after_another() {
        let ceremony = Ceremony::new();
        let first = sign(&ceremony.args("1.key"), NOW).unwrap();
        assert_eq!((first.signatures, first.needed, first.is_complete()), (1, Some(2), false));
        let document = read_document(&first.file).unwrap();
        assert!(document.verify(Typ::Order, &ceremony.root).is_err());
        let again = sign(&ceremony.args("1.key"), NOW).unwrap();
        assert_eq!(again.signatures, 1, "one key counts once");
        let bare = OrderSignArgs { action: None, instance: None, reason: None, ..ceremony.args("3.key") };
        let second = sign(&bare, NOW).unwrap();
        assert!(second.is_complete());
        let document = read_document(&second.file).unwrap();
        let order = Order::open(&document, &ceremony.root, 0, NOW).unwrap();
        assert_eq!((order.clone(), order.serial), (first.order, 1_700_000_000_000));
        assert_eq!(order.expires, NOW + Span::hours(1));
    }

    #[test]
    fn fo_1_an_order_in_plain_text_is_signed_as_it_stands() {
        let ceremony = Ceremony::new();
        let path = ceremony.folder.path().join("plain.json");
        let action =
            OrderAction::Revoke { instance: InstanceId::from_random([2; 16]), reason: "CO-8: a fork".into() };
        let order = Order { serial: 7, expires: NOW + Span::hours(24), action };
        std::fs::write(&path, serde_json::to_string_pretty(&order).unwrap()).unwrap();
        let bare =
            |key: &str| OrderSignArgs { action: None, instance: None, reason: None, ..ceremony.args(key) };
        let plain = |key: &str| OrderSignArgs { order: Some(path.clone()), ..bare(key) };
        assert_eq!(sign(&plain("1.key"), NOW).unwrap().order, order);
        let second = sign(&bare("2.key"), NOW).unwrap();
        assert!(second.is_complete());
        let document = read_document(&second.file).unwrap();
        assert_eq!(Order::open(&document, &ceremony.root, 0, NOW).unwrap(), order);
        // What the command line says beside it must be what it says.
        let other = OrderSignArgs { instance: Some(InstanceId::from_random([1; 16])), ..plain("1.key") };
        let out = ceremony.folder.path().join("other.json");
        assert!(sign(&OrderSignArgs { out: out.clone(), ..other }, NOW).is_err() && !out.exists());
        std::fs::write(&path, "{\"serial\": 7}").unwrap();
        assert!(sign(&OrderSignArgs { out, ..plain("1.key") }, NOW).is_err());
    }

    #[test]
    fn fo_3_rl_8_an_override_and_a_leave_to_remove_say_what_they_are_about() {
        let ceremony = Ceremony::new();
        let base = |action| OrderSignArgs { action: Some(action), ..ceremony.args("1.key") };
        let code = |args: &OrderSignArgs| sign(args, NOW).unwrap_err().code().to_owned();
        assert_eq!(code(&base(OrderWord::Override)), "usage");
        assert_eq!(code(&base(OrderWord::Remove)), "usage");
        assert_eq!(code(&base(OrderWord::Keys)), "usage");
        let (finding, until) = (Some(FindingCode::VersionDrift), Some(NOW + Span::hours(9)));
        let silence = OrderSignArgs { finding, until, ..base(OrderWord::Override) };
        let signed = sign(&silence, NOW).unwrap();
        assert!(
            matches!(signed.order.action, OrderAction::Override { until, .. } if until == NOW + Span::hours(9))
        );
        let other = OrderSignArgs { until: Some(NOW + Span::hours(8)), ..silence };
        assert_eq!(code(&other), "order-differs");
        let (release, capability) = (Some(Version::new(0, 1, 1)), Some("login".to_owned()));
        let out = ceremony.folder.path().join("remove.json");
        let remove = OrderSignArgs { release, capability, out, ..base(OrderWord::Remove) };
        assert!(matches!(sign(&remove, NOW).unwrap().order.action, OrderAction::Remove { .. }));
    }

    #[test]
    fn fo_5_a_constitution_without_its_order_is_called_what_it_is() {
        let ceremony = Ceremony::new();
        let parameters = governance::Constitution::default();
        let law = governance::ConstitutionDocument { previous: None, effective: NOW, parameters };
        let key = SigningKey::load(&ceremony.folder.path().join("1.key")).unwrap();
        let file = Path::new("order.json");
        let told = |typ, root| {
            let failure = opened(file, &Jws::sign_json(typ, &law, &key).unwrap(), root).unwrap_err();
            (failure.code().to_owned(), failure.to_string())
        };
        let (code, text) = told(Typ::Constitution, Some(&ceremony.root));
        assert_eq!(code, "no-order");
        assert!(
            text.contains("order.json holds a constitution with 1 of 2 signatures, and no order yet"),
            "{text}"
        );
        assert!(text.contains("constitution sign --out order.json --key KEY"), "{text}");
        assert!(told(Typ::Constitution, None).1.contains("a constitution with 1 signature, and"));
        assert!(told(Typ::Keys, None).1.contains("holds a keys document"));
        assert_eq!(told(Typ::Order, None).0, "untrusted");
    }

    #[test]
    fn fo_1_what_cannot_be_signed_is_refused() {
        let ceremony = Ceremony::new();
        let refused = |args: OrderSignArgs, now, code: &str| {
            let failure = sign(&args, now).unwrap_err();
            assert_eq!(failure.code(), code, "{failure}");
        };
        refused(OrderSignArgs { action: None, ..ceremony.args("1.key") }, NOW, "usage");
        let resume = Some(OrderWord::Resume);
        refused(OrderSignArgs { action: resume, ..ceremony.args("1.key") }, NOW, "usage");
        refused(ceremony.args("stranger.key"), NOW, "unknown-key");
        refused(ceremony.args("none.key"), NOW, "key-file");
        refused(OrderSignArgs { reason: Some(" ".into()), ..ceremony.args("1.key") }, NOW, "order");
        assert!(!ceremony.args("1.key").out.exists(), "nothing was written");
        sign(&ceremony.args("1.key"), NOW).unwrap();
        let other = Some(InstanceId::from_random([2; 16]));
        refused(OrderSignArgs { instance: other, ..ceremony.args("2.key") }, NOW, "order-differs");
        refused(ceremony.args("2.key"), NOW + Span::hours(2), "order");
    }
}
