//! The certificates that the root CA signs beside people's: the instance CA's and the server's, renewed with an overlap
//! (prepare, activate, retire).
//!
//! Never signs without the root CA's private key, which lies offline.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use governance::{ConstitutionDocument, Span, Timestamp};
use proof::{PublicKey, Sign as _};
use serde::Serialize;
use trust::ca::ServerHost;
use trust::keyfile::{PUBLIC_MODE, write_new};
use trust::{Issuer, KeySource, RootCa, Validity};

use super::init::server_hosts;
use crate::folder::{Folder, read_document, read_text, write_whole};
use crate::secrets::SecretArgs;
use crate::{Failure, Output, clock, values};

/// How far back a new certificate counts, for clocks that are behind.
const CLOCKS_BEHIND: Span = Span::hours(1);
/// The longest time that a certificate may count, in days.
const DAYS_MAX: u32 = 7_300;

/// Renews the certificates of the instance CA and of the server.
#[derive(Args, Clone, Debug)]
pub struct CaArgs {
    /// The federation's folder.
    #[arg(
        long,
        env = "FEDPLANE_DIR",
        hide_env_values = true,
        value_name = "DIR",
        default_value = ".",
        global = true
    )]
    federation: PathBuf,
    /// What opens keys that are encrypted.
    #[command(flatten)]
    secrets: SecretArgs,
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum CaCommand {
    /// Prepare: certifies a new key, with the root CA's private key: on the machine where that lies, no plane is asked.
    Certify(CertifyArgs),
    /// Activate: puts a key and its certificate in the place of those in the folder; counts when the server starts again.
    Activate(ActivateArgs),
    /// Retire: removes the instance CA before, once no certificate that it issued counts any more.
    Retire(RetireArgs),
}

/// Whose certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whose {
    /// The instance CA, which certifies instances.
    InstanceCa,
    /// The server, of its TLS.
    Server,
}

impl Whose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::InstanceCa => "instance-ca",
            Self::Server => "server",
        }
    }
}

#[derive(Args, Clone, Debug)]
struct CertifyArgs {
    /// Whose certificate: instance-ca or server.
    #[arg(value_enum)]
    whose: Whose,
    /// The certificate request (PKCS#10, PEM) over the new key: `fedplane key make`, `fedplane key csr`.
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    /// The certificate's file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A name or an address of the server, beside localhost; may be repeated.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// The root CA's private key, a file or a `pkcs11:` URI, instead of the folder's `keys/founder/root-ca.key`.
    #[arg(long, value_name = "KEY")]
    ca_key: Option<KeySource>,
    /// The root CA's certificate instead of the folder's `keys/founder/root-ca.pem`.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// How many days the certificate counts [default: 3650 of an instance CA, 365 of a server].
    #[arg(long, value_name = "DAYS", value_parser = values::number::<u32>)]
    days: Option<u32>,
}

#[derive(Args, Clone, Debug)]
struct ActivateArgs {
    /// Whose certificate: instance-ca or server.
    #[arg(value_enum)]
    whose: Whose,
    /// The new key: a file, which is moved into the folder, or a `pkcs11:` URI.
    #[arg(long, value_name = "KEY")]
    key: KeySource,
    /// Its certificate, as `ca certify` wrote it.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
}

#[derive(Args, Clone, Debug)]
struct RetireArgs {
    /// Removes it though certificates that it issued may still count.
    #[arg(long)]
    now: bool,
}

#[derive(Serialize)]
struct Certified {
    certificate: PathBuf,
    serial: String,
    ends: Timestamp,
}

#[derive(Serialize)]
struct Activated {
    whose: &'static str,
    ends: Timestamp,
    /// Where what it replaces lies now.
    before: Vec<PathBuf>,
    /// What has to be set by hand.
    setting: Option<String>,
}

/// `fedplane ca`.
///
/// # Errors
/// When a key is missing, or a certificate is not of it or of the root CA.
pub fn run(args: CaArgs, out: &Output) -> Result<(), Failure> {
    let folder = Folder::new(&args.federation);
    match args.command {
        CaCommand::Certify(certify) => {
            let certified = certify.certify(&folder, &args.secrets)?;
            out.show(&certified, || {
                Output::pairs(&[
                    ("certificate", certified.certificate.display().to_string()),
                    ("serial", certified.serial.clone()),
                    ("until", certified.ends.to_string()),
                ])
            })
        }
        CaCommand::Activate(activate) => {
            let activated = activate.activate(&folder, &args.secrets)?;
            out.show(&activated, || shown(&activated))
        }
        CaCommand::Retire(RetireArgs { now }) => {
            let removed = retire(&folder, now, clock::now())?;
            out.show(&serde_json::json!({ "removed": removed }), || {
                "The instance CA before is removed; start the server again.".to_owned()
            })
        }
    }
}

impl CertifyArgs {
    fn certify(&self, folder: &Folder, secrets: &SecretArgs) -> Result<Certified, Failure> {
        let days = self.days.unwrap_or(match self.whose {
            Whose::InstanceCa => 3_650,
            Whose::Server => 365,
        });
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(Failure::usage(format!("{days} days"), format!("1 to {DAYS_MAX} days")));
        }
        let key = trust::ca::read_csr(&read_text(&self.csr)?)
            .map_err(|error| Failure::malformed(&self.csr, &error, "make it with `fedplane key csr`"))?;
        let in_founder = |name: &str| folder.founder_keys().join(name);
        let certificate = self.ca_cert.clone().unwrap_or_else(|| in_founder("root-ca.pem"));
        let ca_key = self.ca_key.clone().unwrap_or_else(|| in_founder("root-ca.key").into());
        let root = Issuer::root(&read_text(&certificate)?, ca_key.open(&mut secrets.secrets()?)?)?;
        let now = clock::now();
        let validity =
            Validity { not_before: now - CLOCKS_BEHIND, not_after: now + Span::hours(24 * i64::from(days)) };
        let issued = match self.whose {
            Whose::InstanceCa => root.issue_instance_ca(&key, validity)?,
            Whose::Server => {
                let hosts: Vec<ServerHost> = server_hosts(&self.hosts);
                root.issue_server(&super::init::name("plane")?, &hosts, &key, validity)?
            }
        };
        write_new(&self.out, issued.to_pem().as_bytes(), PUBLIC_MODE)?;
        Ok(Certified { certificate: self.out.clone(), serial: issued.serial, ends: issued.not_after })
    }
}

impl ActivateArgs {
    /// Checks both, and moves them: the certificate last, so that one which was cut short is begun again.
    fn activate(&self, folder: &Folder, secrets: &SecretArgs) -> Result<Activated, Failure> {
        let name = self.whose.as_str();
        let root = RootCa::from_pem(&folder.keys_document()?.root_ca)?;
        let signer = self.key.open(&mut secrets.secrets()?)?;
        let pem = read_text(&self.cert)?;
        let ends = self.check(&pem, *signer.public_key(), &root, || {
            Issuer::instances(&pem, signer.clone(), &root).map(|ca| ca.expires())
        })?;
        let keys = folder.federation_keys();
        let at = |suffix: &str| keys.join(format!("{name}{suffix}"));
        if self.whose == Whose::InstanceCa && at(".retired.pem").exists() {
            let detail = format!(
                "{} is there: the instance CA before that one is not retired yet",
                at(".retired.pem").display()
            );
            return Err(Failure::new("ca-not-retired", "HS-1", detail, "run `fedplane ca retire` first"));
        }
        let mut before = Vec::new();
        let mut keep = |from: PathBuf, to: PathBuf| -> Result<(), Failure> {
            if from.exists() {
                fs::rename(&from, &to).map_err(|error| Failure::file(&to, "keep it there", &error))?;
                before.push(to);
            }
            Ok(())
        };
        let setting = match &self.key {
            KeySource::File(path) => {
                keep(at(".key"), at(".retired.key"))?;
                fs::rename(path, at(".key"))
                    .map_err(|error| Failure::file(path, "move it into the folder", &error))?;
                None
            }
            token => Some(format!("[keys] {} = \"{token}\"", name.replace('-', "_"))),
        };
        keep(at(".pem"), at(".retired.pem"))?;
        write_whole(&at(".pem"), pem.as_bytes())?;
        Ok(Activated { whose: name, ends, before, setting })
    }

    fn check(
        &self,
        pem: &str,
        key: PublicKey,
        root: &RootCa,
        as_ca: impl Fn() -> Result<Timestamp, trust::CaError>,
    ) -> Result<Timestamp, Failure> {
        if self.whose == Whose::InstanceCa {
            return Ok(as_ca()?);
        }
        let chain = trust::pem::certificates(pem)
            .map_err(|error| Failure::malformed(&self.cert, &error, "name what `ca certify` wrote"))?;
        trust::identity::check_any_server(&chain, root, clock::now())?;
        let leaf = chain.first().map(trust::identity::public_key).transpose()?;
        if leaf != Some(key) {
            let detail = format!("{} is not over the key {}", self.cert.display(), key.id());
            return Err(Failure::new("key-mismatch", "HS-1", detail, "name the key that was certified"));
        }
        Ok(chain.first().map(trust::identity::expires).transpose()?.unwrap_or(Timestamp::from_millis(0)))
    }
}

/// Removes what `activate` kept of the instance CA before. A certificate counts for its lifetime, and may be renewed within
/// the grace (HS-2).
fn retire(folder: &Folder, at_once: bool, now: Timestamp) -> Result<Vec<PathBuf>, Failure> {
    let keys = folder.federation_keys();
    let retired = keys.join("instance-ca.retired.pem");
    if !retired.exists() {
        let detail = format!("{} is not there: no instance CA waits to be retired", retired.display());
        return Err(Failure::new(
            "ca-none-retired",
            "HS-1",
            detail,
            "`ca activate` keeps the one before there",
        ));
    }
    if !at_once {
        let law: ConstitutionDocument = read_document(&folder.constitution_signed())?
            .parse_unverified()
            .map_err(|error| Failure::untrusted("the constitution", "FO-5", &error))?;
        let lasts = law.parameters.identity_certificate_lifetime + law.parameters.identity_renewal_grace;
        let since = activated_at(&keys.join("instance-ca.pem"))?;
        if now <= since + lasts {
            let detail = format!(
                "certificates that it issued may be renewed until {}, {lasts} after the other was activated",
                since + lasts
            );
            return Err(Failure::new("ca-in-use", "HS-2", detail, "wait until then, or use --now"));
        }
    }
    let mut removed = Vec::new();
    for path in [keys.join("instance-ca.retired.key"), retired] {
        if path.exists() {
            fs::remove_file(&path).map_err(|error| Failure::file(&path, "remove it", &error))?;
            removed.push(path);
        }
    }
    Ok(removed)
}

fn activated_at(certificate: &Path) -> Result<Timestamp, Failure> {
    let modified = fs::metadata(certificate).and_then(|metadata| metadata.modified());
    let modified =
        modified.map_err(|error| Failure::file(certificate, "find out when it was written", &error))?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

fn shown(activated: &Activated) -> String {
    let mut lines = vec![format!(
        "The {} is another from the next start of the server on, until {}.",
        activated.whose, activated.ends
    )];
    lines.extend(activated.setting.as_ref().map(|setting| format!("Set in fedplane.toml: {setting}")));
    lines.extend(activated.before.iter().map(|path| format!("The one before: {}", path.display())));
    if activated.whose == Whose::InstanceCa.as_str() {
        lines.push("It signs its revocation list until `fedplane ca retire`.".to_owned());
    }
    lines.join("\n")
}
