//! The key ceremony: makes a federation's keys, its first documents and its folder.
//!
//! Never leaves half a federation: everything is made in a folder beside, which takes its name at the end. Never touches a
//! folder that holds anything.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use governance::{Constitution, ConstitutionDocument, Digest, OperatorName, Span, Timestamp, TrustDomain};
use proof::keys::{KeysDocument, OnlineKey, Purpose};
use proof::{Jws, KeySet, Sign as _, Typ};
use serde::Serialize;
use server::settings::Settings;
use trust::ca::ServerHost;
use trust::keyfile::{PRIVATE_MODE, PUBLIC_MODE, write_new};
use trust::tuf::{Envelope, Lifetimes, Repository, RootPlan, TargetsChange, draft};
use trust::{Issued, Issuer, KeySource, Signer, Validity};

use self::keys::{KeyArgs, Keyring};
use crate::folder::Folder;
use crate::{Failure, Output, clock, law, values};

pub mod keys;

/// How far behind the clocks of others may be: everything counts from so long before now.
const CLOCKS_BEHIND: Span = Span::hours(1);
/// How long the root CA counts.
const ROOT_CA_LIFETIME: Span = Span::hours(10 * 365 * 24);
/// How long the instance CA counts.
const INSTANCE_CA_LIFETIME: Span = Span::hours(3 * 365 * 24);
/// How long everything else of the first day counts: online keys, server, operator, TUF root and targets.
const YEAR: Span = Span::hours(365 * 24);
/// Access rights of folders that hold private keys or data.
const PRIVATE_FOLDER_MODE: u32 = 0o700;

/// Makes a new federation in DIR: keys, certificates, signed documents, settings.
#[derive(Args, Clone, Debug)]
pub struct InitArgs {
    /// The folder to make; it must not exist, or be empty.
    pub dir: PathBuf,
    /// The federation's name, as in `spiffe://NAME/…`.
    #[arg(long, value_name = "NAME", default_value = "webwaka.internal")]
    pub trust_domain: TrustDomain,
    /// How many Founder keys to make.
    #[arg(long, value_name = "N", value_parser = values::number::<u32>, default_value_t = 3)]
    pub founders: u32,
    /// How many of the Founder keys must sign [default: a majority].
    #[arg(long, value_name = "M", value_parser = values::number::<u32>)]
    pub threshold: Option<u32>,
    /// How many Organism keys to make.
    #[arg(long, value_name = "N", value_parser = values::number::<u32>, default_value_t = 1)]
    pub organisms: u32,
    /// How many of the Organism keys must sign [default: a majority].
    #[arg(long, value_name = "M", value_parser = values::number::<u32>)]
    pub organism_threshold: Option<u32>,
    /// A constitution to sign instead of the default one (TOML; absent parameters have their defaults).
    #[arg(long, value_name = "FILE")]
    pub constitution: Option<PathBuf>,
    /// A DNS name or IP address under which the server is reached, besides localhost; the first one goes into the settings.
    #[arg(long = "host", value_name = "NAME_OR_IP", value_parser = values::host)]
    pub hosts: Vec<String>,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// What to make.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Where.
    pub folder: PathBuf,
    /// The federation's name.
    pub trust_domain: TrustDomain,
    /// Founder keys.
    pub founders: u32,
    /// Founder keys that must sign.
    pub threshold: u32,
    /// Organism keys.
    pub organisms: u32,
    /// Organism keys that must sign.
    pub organism_threshold: u32,
    /// The law.
    pub constitution: Constitution,
    /// Names and addresses of the server besides localhost.
    pub hosts: Vec<String>,
    /// The server's settings; the hosts are added to its names, and where its keys are.
    pub settings: Settings,
    /// Where the keys are.
    pub keys: KeyArgs,
    /// The present instant.
    pub now: Timestamp,
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// The folder.
    pub folder: PathBuf,
    /// The federation's name.
    pub trust_domain: TrustDomain,
    /// Founder keys that must sign, of how many.
    pub founder: (u32, u32),
    /// Organism keys that must sign, of how many.
    pub organism: (u32, u32),
    /// Digest of the keys document.
    pub keys: Digest,
    /// Digest of the signed constitution.
    pub constitution: Digest,
    /// What to take offline, each to a place of its own.
    pub take_offline: Vec<PathBuf>,
    /// What to back up.
    pub back_up: Vec<PathBuf>,
    /// What to hand to agents and auditors.
    pub hand_out: Vec<PathBuf>,
    /// The token that the online keys were made in.
    pub online_keys: Option<KeySource>,
    /// Where the server will listen: for instances and operators, and for anyone.
    pub listen: [SocketAddr; 2],
}

/// `fedplane init`.
///
/// # Errors
/// When the folder is not empty, an option makes no sense, or a file cannot be written. Nothing is left then.
pub fn run(args: &InitArgs, out: &Output) -> Result<(), Failure> {
    let constitution = match &args.constitution {
        Some(path) => law::read(path)?,
        None => Constitution::default(),
    };
    let count = |given: &[KeySource], made: u32| match given.len() {
        0 => made,
        given => u32::try_from(given).unwrap_or(u32::MAX),
    };
    let founders = count(&args.keys.founder, args.founders);
    let organisms = count(&args.keys.organism, args.organisms);
    let made = create(&InitOptions {
        folder: args.dir.clone(),
        trust_domain: args.trust_domain.clone(),
        founders,
        threshold: args.threshold.unwrap_or_else(|| majority(founders)),
        organisms,
        organism_threshold: args.organism_threshold.unwrap_or_else(|| majority(organisms)),
        keys: args.keys.clone(),
        constitution,
        hosts: args.hosts.clone(),
        settings: settings_for(&args.hosts),
        now: clock::now(),
    })?;
    out.show(&made, || report(&made))
}

/// More than half of the keys.
const fn majority(keys: u32) -> u32 {
    keys / 2 + 1
}

/// Makes a federation.
///
/// # Errors
/// As [`run`].
pub fn create(options: &InitOptions) -> Result<Made, Failure> {
    must_be_free(&options.folder)?;
    threshold_check("--threshold", options.threshold, "--founders", options.founders)?;
    threshold_check("--organism-threshold", options.organism_threshold, "--organisms", options.organisms)?;
    let making = Making::begin(&options.folder)?;
    let folder = making.folder.clone();
    let mut keyring = Keyring::open(&options.keys, &folder)?;
    let made = build(options, &folder, &mut keyring)?;
    making.finish(&options.folder)?;
    keyring.finish();
    Ok(made)
}

pub(super) fn must_be_free(folder: &Path) -> Result<(), Failure> {
    let hint = "name a folder that does not exist yet, or an empty one";
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                let detail = format!("{}: the folder is not empty", folder.display());
                Err(Failure::new("folder-not-empty", "AU-2", detail, hint))
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::new("file", "CLI", format!("{}: {error}", folder.display()), hint)),
    }
}

fn threshold_check(name: &str, threshold: u32, of: &str, keys: u32) -> Result<(), Failure> {
    let max = u32::try_from(proof::key::KEY_SET_MAX).unwrap_or(u32::MAX);
    if (1..=max).contains(&keys) && (1..=keys).contains(&threshold) {
        return Ok(());
    }
    let detail = format!(
        "{name} {threshold} of {of} {keys}: 1 to {max} keys, of which at least one and at most all sign"
    );
    Err(Failure::new("threshold", "AU-4", detail, format!("lower {name}, or raise {of}")))
}

/// A folder in the making, gone again unless it is finished.
pub(super) struct Making {
    pub(super) folder: Folder,
    finished: bool,
}

impl Making {
    pub(super) fn begin(target: &Path) -> Result<Self, Failure> {
        let target = std::path::absolute(target).map_err(|error| Failure::file(target, "find it", &error))?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(Failure::file(&target, "make it", &"it has no name"));
        };
        fs::create_dir_all(parent).map_err(|error| Failure::file(parent, "make it", &error))?;
        let unique: [u8; 4] = trust::random()?;
        let path = parent.join(format!(".{}.{:08x}", name.to_string_lossy(), u32::from_be_bytes(unique)));
        let making = Self { folder: Folder::new(&path), finished: false };
        make_folder(&path)?;
        Ok(making)
    }

    pub(super) fn finish(mut self, target: &Path) -> Result<(), Failure> {
        // Takes the place of an empty folder too, in one step.
        fs::rename(self.folder.path(), target).map_err(|error| {
            let hint = "name a folder that does not exist yet, on the disk it is to stay on";
            Failure::new("file", "CLI", format!("{}: cannot make it: {error}", target.display()), hint)
        })?;
        self.finished = true;
        let absolute = std::path::absolute(target).unwrap_or_default();
        // The name itself on the disk; that it is not yet is no reason to undo the ceremony.
        let _ = absolute.parent().map(|parent| fs::File::open(parent).and_then(|folder| folder.sync_all()));
        Ok(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_dir_all(self.folder.path());
        }
    }
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().mode(PRIVATE_FOLDER_MODE).create(path);
    made.map_err(|error| Failure::file(path, "make it", &error))
}

/// The offline keys of one authority.
struct Holders {
    keys: Vec<Signer>,
    set: KeySet,
}

impl Holders {
    fn new(keys: Vec<Signer>, threshold: u32) -> Result<Self, Failure> {
        let set = KeySet::new(threshold, keys.iter().map(|key| *key.public_key()).collect())
            .map_err(|error| Failure::new("threshold", "AU-4", error.to_string(), ""))?;
        Ok(Self { keys, set })
    }

    /// The threshold of them.
    fn signers(&self) -> impl Iterator<Item = &Signer> {
        self.keys.iter().take(usize::try_from(self.set.threshold()).unwrap_or(usize::MAX))
    }

    fn sign<T: Serialize>(&self, typ: Typ, value: &T) -> Result<Jws, Failure> {
        let unsigned =
            |error: &proof::JwsError| Failure::new("unsigned", "AU-4", format!("{typ}: {error}"), "");
        let payload = serde_json::to_vec(value)
            .map_err(|error| Failure::new("unsigned", "AU-4", error.to_string(), ""))?;
        let mut document: Option<Jws> = None;
        for key in self.signers() {
            match &mut document {
                Some(document) => document.add_signature(typ, key).map_err(|error| unsigned(&error))?,
                None => {
                    document = Some(Jws::sign(typ, payload.clone(), key).map_err(|error| unsigned(&error))?)
                }
            }
        }
        let document = document.ok_or_else(|| unsigned(&proof::JwsError::Unsigned))?;
        document.verify(typ, &self.set).map_err(|error| unsigned(&error))?;
        Ok(document)
    }

    fn sign_metadata(&self, mut envelope: Envelope) -> Result<Vec<u8>, Failure> {
        let unsigned = |fault: trust::tuf::Fault| Failure::new("unsigned", "RL-3", fault.to_string(), "");
        for key in self.signers() {
            envelope.sign(key).map_err(unsigned)?;
        }
        envelope.to_bytes().map_err(unsigned)
    }
}

fn build(options: &InitOptions, folder: &Folder, keyring: &mut Keyring<'_>) -> Result<Made, Failure> {
    make_folder(&folder.path().join("keys"))?;
    for path in [
        folder.founder_keys(),
        folder.organism_keys(),
        folder.federation_keys(),
        folder.operators(),
        folder.data(),
        folder.tuf(),
    ] {
        make_folder(&path)?;
    }
    let InitOptions { keys, founders, organisms, .. } = options;
    let founder = keyring.holders(&keys.founder, *founders, |number| folder.founder_key(number))?;
    let founder = Holders::new(founder, options.threshold)?;
    let organism = keyring.holders(&keys.organism, *organisms, |number| folder.organism_key(number))?;
    let organism = Holders::new(organism, options.organism_threshold)?;
    let root_pem = authorities(options, folder, keyring)?;
    let (online, signers) = online_keys(options, keyring)?;
    let keys = KeysDocument {
        serial: 1,
        trust_domain: options.trust_domain.clone(),
        issued: options.now,
        founder: founder.set.clone(),
        organism: organism.set.clone(),
        online,
        root_ca: root_pem,
        ledger_origin: format!("{}/ledger", options.trust_domain),
    };
    let keys_signed = founder.sign(Typ::Keys, &keys)?;
    KeysDocument::open(&keys_signed, &founder.set)
        .map_err(|error| Failure::new("keys-untrusted", "AU-4", error.to_string(), ""))?;
    let constitution = ConstitutionDocument {
        previous: None,
        effective: options.now,
        parameters: options.constitution.clone(),
    };
    let constitution_signed = founder.sign(Typ::Constitution, &constitution)?;
    repository(options, folder, &founder, &organism, signers)?;
    let root_keys = serde_json::to_string_pretty(&founder.set)
        .map_err(|error| Failure::new("output", "AU-4", error.to_string(), ""))?;
    for (path, text) in [
        (folder.founder(), format!("{root_keys}\n")),
        (folder.keys(), keys_signed.to_json()),
        (folder.constitution(), law::render(&options.constitution)?),
        (folder.constitution_signed(), constitution_signed.to_json()),
        (folder.settings(), settings(options)?),
    ] {
        write_new(&path, text.as_bytes(), PUBLIC_MODE)?;
    }
    Ok(made(options, keys_signed.digest(), constitution_signed.digest()))
}

/// The root CA, the instance CA, the server's and the first operator's certificate; answers the root's certificate.
fn authorities(options: &InitOptions, folder: &Folder, keyring: &mut Keyring<'_>) -> Result<String, Failure> {
    let validity =
        |lifetime| Validity { not_before: options.now - CLOCKS_BEHIND, not_after: options.now + lifetime };
    let root = Issuer::make_root(keyring.root_ca()?, &options.trust_domain, validity(ROOT_CA_LIFETIME))?;
    let root_pem = root.certificate_pem();
    write_new(&folder.founder_keys().join("root-ca.pem"), root_pem.as_bytes(), PUBLIC_MODE)?;
    let federation = folder.federation_keys();
    let keep = |issued: &Issued, path: &Path| write_new(path, issued.to_pem().as_bytes(), PUBLIC_MODE);
    let key = keyring.online("instance-ca")?;
    keep(
        &root.issue_instance_ca(key.public_key(), validity(INSTANCE_CA_LIFETIME))?,
        &federation.join("instance-ca.pem"),
    )?;
    let key = keyring.online("server")?;
    let server = name("plane")?;
    let issued =
        root.issue_server(&server, &server_hosts(&options.hosts), key.public_key(), validity(YEAR))?;
    keep(&issued, &federation.join("server.pem"))?;
    let key = keyring.admin()?;
    keep(
        &root.issue_person(
            &governance::Person::operator(name("admin")?),
            key.public_key(),
            validity(YEAR),
        )?,
        &folder.operators().join("admin.pem"),
    )?;
    Ok(root_pem)
}

pub(super) fn name(text: &str) -> Result<OperatorName, Failure> {
    text.parse().map_err(|error: governance::id::IdError| Failure::new("name", "ID-1", error.to_string(), ""))
}

/// Names and addresses on the server's certificate, each once.
pub(super) fn server_hosts(named: &[String]) -> Vec<ServerHost> {
    let mut hosts: Vec<ServerHost> = Vec::new();
    for host in named.iter().map(String::as_str).chain(["localhost", "127.0.0.1", "::1"]) {
        let host = ServerHost::from(host);
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// The keys that sign the repository from now on.
struct RepositoryKeys {
    snapshot: Signer,
    timestamp: Signer,
}

/// An online key for every purpose, and those that are needed at once.
fn online_keys(
    options: &InitOptions,
    keyring: &mut Keyring<'_>,
) -> Result<(Vec<OnlineKey>, RepositoryKeys), Failure> {
    let make = |purpose: &Purpose| Ok((*purpose, keyring.online(purpose.as_str())?));
    let made = Purpose::ALL.iter().map(make).collect::<Result<Vec<(Purpose, Signer)>, Failure>>()?;
    let named = |(purpose, signer): &(Purpose, Signer)| OnlineKey {
        purpose: *purpose,
        key: *signer.public_key(),
        not_before: options.now - CLOCKS_BEHIND,
        not_after: options.now + YEAR,
    };
    let signer = |wanted: Purpose| {
        let found = made.iter().find(|(purpose, _)| *purpose == wanted).map(|(_, signer)| signer.clone());
        found.ok_or_else(|| Failure::new("unsigned", "AU-4", format!("no key was made for {wanted}"), ""))
    };
    let repository =
        RepositoryKeys { snapshot: signer(Purpose::Snapshot)?, timestamp: signer(Purpose::Timestamp)? };
    Ok((made.iter().map(named).collect(), repository))
}

/// The TUF repository with its first root and an empty list of targets (RL-3).
fn repository(
    options: &InitOptions,
    folder: &Folder,
    founder: &Holders,
    organism: &Holders,
    RepositoryKeys { snapshot, timestamp }: RepositoryKeys,
) -> Result<(), Failure> {
    let plan = RootPlan {
        founder: &founder.set,
        organism: &organism.set,
        snapshot: &[*snapshot.public_key()],
        timestamp: &[*timestamp.public_key()],
    };
    let expires = options.now + YEAR;
    let repository =
        Repository::open(&folder.tuf(), Box::new(snapshot), Box::new(timestamp), Lifetimes::default())?;
    repository.root_publish(&founder.sign_metadata(draft::root_first(&plan, expires)?)?)?;
    let targets = organism.sign_metadata(draft::targets_first(TargetsChange::default(), expires)?)?;
    repository.publish(&targets, options.now)?;
    Ok(())
}

/// Default settings; a server with a name of its own listens on every address of its machine.
fn settings_for(hosts: &[String]) -> Settings {
    let mut settings = Settings::default();
    if !hosts.is_empty() {
        let everywhere = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        settings.listen.instances.set_ip(everywhere);
        settings.listen.public.set_ip(everywhere);
    }
    settings
}

/// The settings file, with the names that the server's certificate carries.
fn settings(options: &InitOptions) -> Result<String, Failure> {
    let mut settings = options.settings.clone();
    let mut names = options.hosts.clone();
    names.append(&mut settings.listen.names);
    settings.listen.names.clear();
    for name in names {
        if !settings.listen.names.contains(&name) {
            settings.listen.names.push(name);
        }
    }
    options.keys.tell(&mut settings)?;
    settings.check().map_err(|(key, why)| {
        Failure::new("settings", "CLI", format!("{key}: {why}"), "choose another value")
    })?;
    Ok(settings.to_toml())
}

fn made(options: &InitOptions, keys: Digest, constitution: Digest) -> Made {
    let folder = Folder::new(&options.folder);
    // What existed before is where its holder keeps it.
    let count = |given: &[KeySource], made: u32| if given.is_empty() { made } else { 0 };
    let founders =
        (1..=count(&options.keys.founder, options.founders)).map(|number| folder.founder_key(number));
    let organisms =
        (1..=count(&options.keys.organism, options.organisms)).map(|number| folder.organism_key(number));
    let root = options.keys.root_ca.is_none().then(|| folder.founder_keys().join("root-ca.key"));
    Made {
        folder: options.folder.clone(),
        trust_domain: options.trust_domain.clone(),
        founder: (options.threshold, options.founders),
        organism: (options.organism_threshold, options.organisms),
        keys,
        constitution,
        take_offline: founders.chain(root).chain(organisms).collect(),
        back_up: vec![
            folder.federation_keys(),
            folder.operators(),
            folder.keys(),
            folder.constitution_signed(),
            folder.tuf(),
            folder.data(),
        ],
        hand_out: vec![folder.founder()],
        online_keys: options.keys.online.clone().map(|token| KeySource::Token(Box::new(token))),
        listen: [options.settings.listen.instances, options.settings.listen.public],
    }
}

/// Where the server will listen, in words.
fn listens([instances, public]: [SocketAddr; 2]) -> String {
    let place = if instances.ip().is_unspecified() {
        "every address of its machine"
    } else if instances.ip().is_loopback() {
        "this machine only"
    } else {
        "one address"
    };
    format!("{instances} and {public}: {place}\n(see [listen] in fedplane.toml)")
}

fn report(made: &Made) -> String {
    let list =
        |paths: &[PathBuf]| paths.iter().map(|path| format!("  {}\n", path.display())).collect::<String>();
    let (folder, of) = (made.folder.display(), |(m, n): (u32, u32)| format!("{m} of {n} keys sign"));
    format!(
        "The federation {} is made in {folder}.\n\n{}\n\n\
         Take offline now, each key to a holder and a medium of its own; the server never needs them:\n{}\n\
         Back up, encrypted (the keys and the data), as often as the data may be lost:\n{}\n\
         Hand to every agent and auditor, by a way they trust: it is all they need to verify the rest:\n{}\n\
         Next: fedplane serve --config {}",
        made.trust_domain,
        Output::pairs(&[
            ("Founder", of(made.founder)),
            ("Organism", of(made.organism)),
            ("keys document", made.keys.to_string()),
            ("constitution", made.constitution.to_string()),
            (
                "online keys",
                made.online_keys.as_ref().map_or_else(|| "files".to_owned(), ToString::to_string)
            ),
            ("private files", format!("mode {PRIVATE_MODE:04o}")),
            ("listens on", listens(made.listen)),
        ]),
        list(&made.take_offline),
        list(&made.back_up),
        list(&made.hand_out),
        Folder::new(&made.folder).settings().display(),
    )
}

#[cfg(test)]
pub(super) mod tests;
