//! The certificates that the root CA signs beside people's: the instance CA's and the server's, renewed with an overlap
//! (prepare, activate, retire).
//!
//! Never signs without the root CA's private key, which lies offline.

mod activate;
mod retire;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use governance::{Span, Timestamp};
use serde::Serialize;
use trust::ca::ServerHost;
use trust::keyfile::{PUBLIC_MODE, write_new};
use trust::{Issuer, KeySource, Validity};

use activate::ActivateArgs;
use retire::RetireArgs;

use super::init::server_hosts;
use crate::folder::{Folder, read_text};
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
    ///
    /// Counts from when it first sees that the plane, started again, issues by the other: run it then, and once more when it
    /// says. How long is the law's to say, as it is then or as the folder's constitution.sig has it, whichever is longer.
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
    #[arg(long = "host", value_name = "HOST", value_parser = values::host)]
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

#[derive(Serialize)]
struct Certified {
    certificate: PathBuf,
    serial: String,
    ends: Timestamp,
}

/// `fedplane ca`.
///
/// # Errors
/// When a key is missing, or a certificate is not of it or of the root CA.
pub async fn run(args: CaArgs, out: &Output) -> Result<(), Failure> {
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
            out.show(&activated, || activated.report())
        }
        CaCommand::Retire(retire) => {
            let retired = retire.retire(&folder, clock::now()).await?;
            out.show(&retired, || retired.report())
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
