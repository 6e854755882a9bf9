//! People who govern, audit and bill: certified by the root CA, each in a role, and taken back by the plane (AU-2).
//!
//! Never makes a certificate without the root CA's private key, which lies offline.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use governance::{OperatorName, Person, PersonRole, ProviderId, Span, Timestamp};
use proof::{PublicKey, Sign as _};
use serde::Serialize;
use trust::keyfile::{PUBLIC_MODE, write_new};
use trust::{Issuer, KeySource, Peer, RootCa, SigningKey, Validity};
use wire::RevokePerson;

use crate::connect::ConnectArgs;
use crate::folder::read_text;
use crate::secrets::NewSecretArgs;
use crate::table::Column;
use crate::{Failure, Output, clock, values};

/// How far back a new certificate counts, for clocks that are behind.
const CLOCKS_BEHIND: Span = Span::hours(1);
/// The longest time that a person's certificate may count, in days.
const DAYS_MAX: u32 = 3_650;

/// People and their certificates.
#[derive(Args, Clone, Debug)]
pub struct OperatorArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: OperatorCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum OperatorCommand {
    /// Certifies a person, with the root CA's private key: on the machine where that lies, no plane is asked.
    Add(AddArgs),
    /// Lists the certificates in the folder's keys/operators, and which of them the plane has taken back.
    List,
    /// Takes a person's certificate back: it counts no more, on open connections too.
    Revoke(RevokeArgs),
}

#[derive(Args, Clone, Debug)]
struct AddArgs {
    /// What the person is called: small letters, digits and inner hyphens.
    name: OperatorName,
    /// What the person may do: operator, provider, auditor, billing, founder-signer (docs/authorisation.md).
    #[arg(long)]
    role: PersonRole,
    /// The provider whose instances alone the person sees and touches; with the role of a provider, and only then.
    #[arg(long, value_name = "ID")]
    provider: Option<ProviderId>,
    /// A certificate request (PKCS#10, PEM) over the person's own key; otherwise a key is made beside the certificate.
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// What the key that is made is put under.
    #[command(flatten)]
    new_secret: NewSecretArgs,
    /// The root CA's private key, a file or a `pkcs11:` URI, instead of the folder's `keys/founder/root-ca.key`.
    #[arg(long, value_name = "KEY")]
    ca_key: Option<KeySource>,
    /// The root CA's certificate instead of the folder's `keys/founder/root-ca.pem`.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// The folder for the certificate, and for the key that is made, instead of the folder's `keys/operators`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many days the certificate counts.
    #[arg(long, value_name = "DAYS", value_parser = values::number::<u32>, default_value_t = 365)]
    days: u32,
}

#[derive(Args, Clone, Debug)]
struct RevokeArgs {
    /// The certificate that is taken back (PEM).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["person", "serial"], required_unless_present = "serial")]
    certificate: Option<PathBuf>,
    /// Whose it is, as operator/admin or provider/acme/alice, where there is no file.
    #[arg(long, value_name = "PERSON", requires = "serial")]
    person: Option<String>,
    /// Its serial number in hexadecimal.
    #[arg(long, value_name = "HEX", requires = "person")]
    serial: Option<String>,
}

/// A person as listed.
#[derive(Serialize)]
struct Listed {
    person: String,
    serial: String,
    ends: Timestamp,
    /// `counts`, `ended`, `taken back`; `unknown` where the plane could not be asked.
    status: &'static str,
    file: PathBuf,
}

/// A certificate that was made.
#[derive(Serialize)]
struct Added {
    person: String,
    serial: String,
    ends: Timestamp,
    certificate: PathBuf,
    key: Option<PathBuf>,
}

/// `fedplane operator`.
///
/// # Errors
/// When a key is missing, or the plane refuses.
pub async fn run(args: OperatorArgs, out: &Output) -> Result<(), Failure> {
    match args.command {
        OperatorCommand::Add(add) => {
            let added = add.certify(&args.connect)?;
            out.show(&added, || shown(&added))
        }
        OperatorCommand::List => {
            let listed = list(&args.connect, out).await?;
            out.show(&listed, || listing(&listed, out))
        }
        OperatorCommand::Revoke(revoke) => {
            let client = args.connect.client()?;
            let request = revoke.request(&args.connect)?;
            client.person_revoke(&request).await?;
            let RevokePerson { person, serial } = &request;
            out.show(&request, || format!("The certificate {serial} of {person} counts no more."))
        }
    }
}

impl AddArgs {
    fn certify(&self, connect: &ConnectArgs) -> Result<Added, Failure> {
        let folder = connect.folder();
        let person = Person::new(self.role, self.provider.clone(), self.name.clone()).ok_or_else(|| {
            let detail = format!(
                "the role {} goes {} --provider",
                self.role,
                match self.provider {
                    Some(_) => "without",
                    None => "with",
                }
            );
            Failure::usage(
                detail,
                "only a provider\u{2019}s people have a provider, and all of them have one",
            )
        })?;
        if !(1..=DAYS_MAX).contains(&self.days) {
            return Err(Failure::usage(
                format!("{} days", self.days),
                format!("1 to {DAYS_MAX} days; a year is usual"),
            ));
        }
        let in_founder = |name: &str| folder.founder_keys().join(name);
        let certificate = self.ca_cert.clone().unwrap_or_else(|| in_founder("root-ca.pem"));
        let key = self.ca_key.clone().unwrap_or_else(|| in_founder("root-ca.key").into());
        let root = Issuer::root(&read_text(&certificate)?, key.open(&mut connect.secrets.secrets()?)?)?;
        let out = self.out.clone().unwrap_or_else(|| folder.operators());
        std::fs::create_dir_all(&out).map_err(|error| Failure::file(&out, "make the folder", &error))?;
        let (path, key_path) =
            (out.join(format!("{}.pem", self.name)), out.join(format!("{}.key", self.name)));
        if path.exists() {
            let hint = "name another --out, or move the old certificate away first";
            return Err(Failure::new("file", "CLI", format!("{} is there already", path.display()), hint));
        }
        let (key, made) = self.key(&key_path)?;
        let now = clock::now();
        let not_after = now + Span::hours(24 * i64::from(self.days));
        let validity = Validity { not_before: now - CLOCKS_BEHIND, not_after };
        let issued = root.issue_person(&person, &key, validity)?;
        write_new(&path, issued.to_pem().as_bytes(), PUBLIC_MODE)?;
        Ok(Added {
            person: person.to_string(),
            serial: issued.serial,
            ends: issued.not_after,
            certificate: path,
            key: made.then_some(key_path),
        })
    }

    /// The key to certify, and whether it was made here.
    fn key(&self, path: &Path) -> Result<(PublicKey, bool), Failure> {
        match &self.csr {
            None => {
                let passphrase = self.new_secret.passphrase(&path.display().to_string())?;
                let key = SigningKey::generate()?;
                key.save_under(path, passphrase.as_ref())?;
                Ok((*key.public_key(), true))
            }
            Some(csr) => {
                let key = trust::ca::read_csr(&read_text(csr)?);
                let hint =
                    "make it as `openssl req -new -key person.key -subj /CN=person` over an Ed25519 key";
                Ok((key.map_err(|error| Failure::malformed(csr, &error, hint))?, false))
            }
        }
    }
}

impl RevokeArgs {
    fn request(&self, connect: &ConnectArgs) -> Result<RevokePerson, Failure> {
        if let (Some(person), Some(serial)) = (&self.person, &self.serial) {
            return Ok(RevokePerson { person: person.clone(), serial: serial.clone() });
        }
        let path = self.certificate.clone().unwrap_or_default();
        let root = RootCa::from_pem(&connect.folder().keys_document()?.root_ca)?;
        match read(&path, &root, clock::now())? {
            Peer::Person { person, serial, .. } => Ok(RevokePerson { person: person.to_string(), serial }),
            _ => {
                let hint =
                    "instances are revoked by a Founder\u{2019}s order: `fedplane order sign --do revoke`";
                Err(Failure::new(
                    "certificate-not-accepted",
                    "AU-2",
                    "it is nobody\u{2019}s certificate",
                    hint,
                ))
            }
        }
    }
}

fn read(path: &Path, root: &RootCa, now: Timestamp) -> Result<Peer, Failure> {
    let chain = trust::pem::certificates(&read_text(path)?)
        .map_err(|error| Failure::malformed(path, &error, "name a person\u{2019}s certificate in PEM"))?;
    Ok(trust::classify(&chain, root, root.trust_domain(), now)?)
}

async fn list(connect: &ConnectArgs, out: &Output) -> Result<Vec<Listed>, Failure> {
    let folder = connect.folder();
    let root = RootCa::from_pem(&folder.keys_document()?.root_ca)?;
    let taken_back = match connect.client() {
        Ok(client) => client.people_revoked().await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let taken_back: Option<BTreeSet<String>> = taken_back
        .inspect_err(|_| out.note("The plane could not be asked which of them it has taken back."))
        .ok()
        .map(|revoked| revoked.serials.into_iter().collect());
    let operators = folder.operators();
    let entries =
        std::fs::read_dir(&operators).map_err(|error| Failure::file(&operators, "list it", &error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "pem"))
        .collect();
    files.sort();
    let now = clock::now();
    files.into_iter().map(|file| listed(file, &root, taken_back.as_ref(), now)).collect()
}

fn listed(
    file: PathBuf,
    root: &RootCa,
    taken_back: Option<&BTreeSet<String>>,
    now: Timestamp,
) -> Result<Listed, Failure> {
    let chain = trust::pem::certificates(&read_text(&file)?).map_err(|error| {
        Failure::malformed(&file, &error, "keep nothing but people\u{2019}s certificates there")
    })?;
    let classified = match trust::classify(&chain, root, root.trust_domain(), now) {
        // One that has ended is read as it was at its end.
        Err(trust::IdentityError::Expired(end)) => {
            trust::classify(&chain, root, root.trust_domain(), end - Span::from_millis(1_000))?
        }
        classified => classified?,
    };
    let Peer::Person { person, serial, not_after, .. } = classified else {
        let detail = format!("{}: it is nobody\u{2019}s certificate", file.display());
        return Err(Failure::new("certificate-not-accepted", "AU-2", detail, "keep it elsewhere"));
    };
    let status = match taken_back {
        Some(taken) if taken.contains(&serial) => "taken back",
        _ if now > not_after => "ended",
        Some(_) => "counts",
        None => "unknown",
    };
    Ok(Listed { person: person.to_string(), serial, ends: not_after, status, file })
}

fn listing(listed: &[Listed], out: &Output) -> String {
    let row = |one: &Listed| {
        vec![one.person.clone(), one.status.to_owned(), out.time(one.ends), one.serial.clone()]
    };
    let header =
        [Column::new("person"), Column::new("status"), Column::new("ends"), Column::new("serial").spare(2)];
    match listed {
        [] => "Nobody.".to_owned(),
        _ => out.table(&header, listed.iter().map(row)),
    }
}

fn shown(added: &Added) -> String {
    let mut pairs = vec![
        ("person", added.person.clone()),
        ("certificate", added.certificate.display().to_string()),
        ("serial", added.serial.clone()),
        ("ends", added.ends.to_string()),
    ];
    if let Some(key) = &added.key {
        pairs.insert(1, ("key", key.display().to_string()));
    }
    let next = match &added.key {
        Some(_) => "Hand key and certificate to the person, and keep no copy of the key.",
        None => "Hand the certificate to the person.",
    };
    format!("{}\n\n{next}", Output::pairs(&pairs))
}
