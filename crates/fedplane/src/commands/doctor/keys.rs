//! Documents, private keys and certificates: whether they are there, are what they should be, and for how long.

use std::fs;
use std::path::Path;

use governance::Timestamp;
use plane::expiry::Running;
use proof::{KeysDocument, OnlineKey, Purpose, Sign as _, Typ};
use server::Settings;
use server::settings::Keys;
use trust::tuf::{Lifetimes, Repository};
use trust::{Issuer, KeyFileError, RootCa, Secret, Secrets, Signer, SignerError};
use wire::{ExpiryView, Renewer};

use super::Findings;
use crate::Failure;
use crate::folder::{read_document, read_keys_document, read_root_keys, read_text};

/// The name of the instance CA's key of before.
const RETIRED: &str = "instance-ca.retired";
/// Folders of keys that the server never needs, from the settings' folder on, and whose they are.
const OFFLINE: [(&str, &str); 2] = [("keys/founder", "the Founder"), ("keys/organism", "the Organism")];

/// Looks at them; answers the keys document, where the root keys signed it.
pub(super) fn examine(
    settings: &Settings,
    (now, runs): (Timestamp, bool),
    findings: &mut Findings,
) -> Option<KeysDocument> {
    findings.about("keys");
    let document = documents(settings, findings);
    let root = document.as_ref().and_then(|document| match RootCa::from_pem(&document.root_ca) {
        Ok(root) => Some(root),
        Err(error) => {
            findings.error(
                format!("keys.json: root_ca: {error}"),
                "take the one that the Founder signed from a backup",
            );
            None
        }
    });
    let signers = private(settings, findings);
    let online =
        document.as_ref().map(|document| named(document, &signers, now, findings)).unwrap_or_default();
    let certificates = Certificates::examine(settings, root.as_ref(), &signers, findings);
    offline(settings, findings);
    findings.about("expiry");
    let lifetimes =
        Lifetimes { snapshot: settings.pace.snapshot_lifetime, timestamp: settings.pace.timestamp_lifetime };
    let published = match Repository::published_in(&settings.path(&settings.paths.tuf)) {
        Ok(published) => published,
        Err(error) => {
            findings.error(
                format!("the TUF repository: {error}"),
                "`fedplane restore BACKUP --into DIR`, and take tuf/ from there",
            );
            None
        }
    };
    let running = Running {
        root_ca: root.as_ref().and_then(|root| trust::identity::expires(root.certificate()).ok()),
        instance_ca: certificates.instance_ca,
        server: certificates.server,
        online,
        published,
        lifetimes,
        warn_before: settings.pace.warn_before,
    };
    expiry(&running.out(now), (now, runs), findings);
    document
}

/// What the Founder signed.
fn documents(settings: &Settings, findings: &mut Findings) -> Option<KeysDocument> {
    const BACKUP: &str = "take it from a backup: it is the same on every server and at every agent";
    let paths = &settings.paths;
    let root = told(read_root_keys(&settings.path(&paths.founder)), BACKUP, findings)?;
    let document = told(read_keys_document(&settings.path(&paths.keys), &root), BACKUP, findings)?;
    findings.ok(format!("keys document {} is signed by the root keys", document.serial));
    let path = settings.path(&paths.constitution);
    if let Some(constitution) = told(read_document(&path), BACKUP, findings) {
        // Whoever the Founder was when it was signed: a later one signs the next law, and not this one again.
        match constitution.verify(Typ::Constitution, &document.founder) {
            Ok(_) => findings.ok("the constitution is signed by the Founder"),
            Err(error) => findings.warning(
                format!("{}: not signed by the Founder of now: {error}", path.display()),
                "right where the Founder's keys were changed since; otherwise take it from a backup",
            ),
        }
    }
    Some(document)
}

/// The value, or a finding about why there is none.
fn told<T>(result: Result<T, Failure>, mend: &str, findings: &mut Findings) -> Option<T> {
    result.map_err(|failure| findings.error(failure.reasons_in_short(), mend)).ok()
}

/// The online keys that can be opened, each under its name.
type Opened = Vec<(String, Signer)>;

fn private(settings: &Settings, findings: &mut Findings) -> Opened {
    let secret = settings.passphrase_file().map(|file| Secret::read(&file)).transpose();
    let secret = secret.map_err(|error| {
        let mend = mend_of(&error);
        findings.error(format!("keys.passphrase_file: {error}"), mend);
    });
    let secret = secret.ok().flatten();
    let mut secrets = secret.map_or_else(Secrets::none, Secrets::given);
    let retired = settings.path(&settings.paths.federation).join(format!("{RETIRED}.pem")).exists();
    let names = Keys::NAMES.into_iter().chain(retired.then_some(RETIRED));
    let mut opened = Vec::new();
    for name in names {
        let source = settings.key(name);
        match source.open(&mut secrets) {
            Ok(signer) => opened.push((name.to_owned(), signer)),
            Err(error) => {
                let mend = match &error {
                    SignerError::File(file) => mend_of(file),
                    SignerError::Uri(_) => format!("correct it under [keys] in the settings, key {name:?}"),
                    SignerError::Token(_) => {
                        "see that the token is plugged in, and its PIN is right: `fedplane key show KEY`"
                            .to_owned()
                    }
                };
                findings.error(format!("the {name} key: {error}"), mend);
            }
        }
    }
    if opened.len() == Keys::NAMES.len() + usize::from(retired) {
        findings
            .ok(format!("{} private keys are there, their owner's alone, and can be opened", opened.len()));
    }
    opened
}

/// What mends a key that is not to be had.
fn mend_of(error: &KeyFileError) -> String {
    match error {
        KeyFileError::Readable { path, .. } => {
            format!("`chmod 600 {}`, and replace the key if somebody else may have read it", path.display())
        }
        KeyFileError::Missing(_) => {
            "take it from a backup; where there is none, have the Founder name another: `fedplane keys sign`"
                .to_owned()
        }
        KeyFileError::Locked(_) | KeyFileError::Passphrase(_) => {
            "name the file with its passphrase in keys.passphrase_file".to_owned()
        }
        _ => "take it from a backup".to_owned(),
    }
}

/// The online keys of this server that the keys document names; a finding about each that it does not name.
fn named(
    document: &KeysDocument,
    signers: &Opened,
    now: Timestamp,
    findings: &mut Findings,
) -> Vec<OnlineKey> {
    let mut found = Vec::new();
    let mut unnamed = false;
    for purpose in Purpose::ALL {
        let Some((_, signer)) = signers.iter().find(|(name, _)| name == purpose.as_str()) else { continue };
        let id = signer.key_id();
        let mut named =
            document.online.iter().filter(|named| named.purpose == *purpose && named.key.id() == id);
        match named.find(|named| named.not_before <= now) {
            Some(named) => found.push(named.clone()),
            None => {
                unnamed = true;
                let found =
                    format!("the keys document does not name the {purpose} key {id} for this time (AU-4)");
                findings.error(found, "`fedplane keys adopt`, where an order brought another document; else `fedplane keys sign`");
            }
        }
    }
    if !unnamed && !found.is_empty() {
        findings.ok("the keys document names each of them for what it signs");
    }
    found
}

/// The last instants of the server's certificates.
#[derive(Default)]
struct Certificates {
    instance_ca: Option<Timestamp>,
    server: Option<Timestamp>,
}

impl Certificates {
    fn examine(
        settings: &Settings,
        root: Option<&RootCa>,
        signers: &Opened,
        findings: &mut Findings,
    ) -> Self {
        let Some(root) = root else { return Self::default() };
        let folder = settings.path(&settings.paths.federation);
        let key = |name: &str| signers.iter().find(|(known, _)| known == name).map(|(_, signer)| signer);
        let mut certificates = Self::default();
        let mut all = 0;
        for (name, renew) in [
            ("instance-ca", "`fedplane ca certify instance-ca`, then `fedplane ca activate`"),
            ("server", "`fedplane ca certify server`, then `fedplane ca activate`"),
        ] {
            let path = folder.join(format!("{name}.pem"));
            match certificate(name, &path, root, key(name)) {
                Ok(until) => {
                    all += 1;
                    match name {
                        "server" => certificates.server = Some(until),
                        _ => certificates.instance_ca = Some(until),
                    }
                }
                Err(why) => {
                    let mend = format!("take it from a backup, or make another: {renew}");
                    findings.error(format!("{}: {why}", path.display()), mend);
                }
            }
        }
        if all == 2 {
            findings.ok(
                "the certificates of the instance CA and of the server are by the root CA and of their keys",
            );
        }
        certificates
    }
}

/// The last instant of a certificate that the root CA signed, over the key at hand.
fn certificate(name: &str, path: &Path, root: &RootCa, key: Option<&Signer>) -> Result<Timestamp, String> {
    let text = read_text(path).map_err(|failure| failure.reasons_in_short())?;
    let chain = trust::pem::certificates(&text).map_err(|error| error.to_string())?;
    let leaf = chain.first().ok_or("no certificate")?;
    let until = trust::identity::expires(leaf).map_err(|error| error.to_string())?;
    if name == "server" {
        // At its last instant: that it ran out is told once, with what else does.
        trust::identity::check_any_server(&chain, root, until).map_err(|error| error.to_string())?;
        let of = trust::identity::public_key(leaf).map_err(|error| error.to_string())?;
        if key.is_some_and(|key| *key.public_key() != of) {
            return Err("it is of another key than the server's".to_owned());
        }
    } else if let Some(key) = key {
        Issuer::instances(&text, key.clone(), root).map_err(|error| error.to_string())?;
    }
    Ok(until)
}

/// Keys that should be elsewhere.
fn offline(settings: &Settings, findings: &mut Findings) {
    for (folder, whose) in OFFLINE {
        let folder = settings.path(Path::new(folder));
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let keys =
            entries.flatten().filter(|entry| entry.path().extension().is_some_and(|kind| kind == "key"));
        let keys = keys.count();
        if keys > 0 {
            let found = format!("{}: private keys of {whose} are on this machine: {keys}", folder.display());
            findings
                .warning(found, "take each to a holder and a medium of its own; the server never needs them");
        }
    }
}

/// What ran out and what will soon; if nothing, what is next.
fn expiry(all: &[ExpiryView], (now, runs): (Timestamp, bool), findings: &mut Findings) {
    let mut well = true;
    for one in all {
        let ExpiryView { what, at, by, renew, soon } = one;
        let (ended, of_plane) = (*at < now, *by == Renewer::Plane);
        // What the plane signs by itself waits for a server, and is signed the moment that one starts.
        let renew = if of_plane && !runs { "`fedplane serve` signs it anew" } else { renew.as_str() };
        match (ended, *soon) {
            (true, _) if of_plane && !runs => findings.warning(format!("{what} ran out at {at}"), renew),
            (true, _) => findings.error(format!("{what} ran out at {at}"), renew),
            (false, true) => findings.warning(format!("{what} runs out at {at}"), renew),
            (false, false) => continue,
        }
        well = false;
    }
    if let Some(next) = all.iter().find(|one| one.by != Renewer::Plane).filter(|_| well) {
        findings.ok(format!("nothing runs out soon; {} does next, at {}", next.what, next.at));
    }
}
