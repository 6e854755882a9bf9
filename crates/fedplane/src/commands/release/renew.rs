//! Signs the targets metadata anew before it runs out: the same files, the next version, a later end.

use std::path::PathBuf;

use clap::Args;
use governance::{Span, Timestamp};
use serde::Serialize;
use trust::KeySource;

use super::sign::{InForceArgs, counted, sign_targets};
use crate::commands::order::signing_keys;
use crate::folder::write_whole;
use crate::secrets::SecretArgs;
use crate::{Failure, Output};

/// Which targets to sign anew, and with which keys.
#[derive(Args, Clone, Debug)]
pub struct RenewArgs {
    /// The file that gathers the signatures; run again with it to add some.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// An Organism key to sign with, a file or a `pkcs11:` URI; may be repeated.
    #[arg(long = "key", value_name = "KEY", required = true, num_args = 1..)]
    pub keys: Vec<KeySource>,
    /// What opens the keys, where they are encrypted.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// What is in force.
    #[command(flatten)]
    pub in_force: InForceArgs,
    /// How long the targets metadata stays good.
    #[arg(long, value_name = "DURATION", default_value = "365d")]
    pub expires: Span,
}

/// How far the targets have come.
#[derive(Clone, Debug, Serialize)]
pub struct RenewedTargets {
    /// Their file.
    pub file: PathBuf,
    /// Their version.
    pub version: u64,
    /// Their last instant.
    pub expires: Timestamp,
    /// Valid signatures of the Organism.
    pub signatures: usize,
    /// Signatures needed.
    pub needed: u32,
}

/// Drafts the next targets with the same files, or takes up those that were begun, and signs.
///
/// # Errors
/// When a key is not the Organism's, or the file holds something else.
pub(super) fn renew(args: &RenewArgs, now: Timestamp) -> Result<RenewedTargets, Failure> {
    let organism = args.in_force.organism()?;
    let keys = signing_keys(&args.keys, Some(&organism), &mut args.secrets.secrets()?)?;
    let previous = args.in_force.targets()?;
    let targets =
        sign_targets(&previous, std::collections::BTreeMap::new(), &args.out, &keys, now + args.expires)?;
    write_whole(&args.out, &targets.to_bytes()?)?;
    Ok(RenewedTargets {
        file: args.out.clone(),
        version: targets.version(),
        expires: targets.expires(),
        signatures: counted(&targets, &organism)?,
        needed: organism.threshold(),
    })
}

/// The report for people.
pub(super) fn report(renewed: &RenewedTargets) -> String {
    let RenewedTargets { file, version, expires, signatures, needed } = renewed;
    let pairs = Output::pairs(&[
        ("targets", format!("version {version}, good until {expires}")),
        ("signatures", format!("{signatures} of {needed}")),
    ]);
    let file = file.display();
    let next = if usize::try_from(*needed).is_ok_and(|needed| *signatures >= needed) {
        format!("Hand them in: fedplane release publish {file}")
    } else {
        format!("Next holder, with another key: fedplane release renew --out {file} --key KEY")
    };
    format!("{pairs}\n\n{next}")
}
