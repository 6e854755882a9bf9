//! Puts a key and its certificate in the place of those in the folder, step by step: one that was cut short is begun again, and
//! does what is left.
//!
//! Never takes a key away before it lies, on disk, where it is kept, and never keeps one in the place of another that may still
//! be asked for.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use governance::Timestamp;
use proof::{KeyId, Sign as _};
use serde::Serialize;
use server::settings::Settings;
use trust::keyfile::{PUBLIC_MODE, copy_over, write_over};
use trust::{Issuer, KeyFileError, KeySource, RootCa, Secret, Secrets, Signer, SigningKey};

use super::Whose;
use crate::connect::folder_settings;
use crate::folder::{Folder, read_text};
use crate::secrets::SecretArgs;
use crate::{Failure, clock};

#[derive(Args, Clone, Debug)]
pub(super) struct ActivateArgs {
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

#[derive(Serialize)]
pub(super) struct Activated {
    whose: &'static str,
    ends: Timestamp,
    /// Where what it replaces lies now.
    before: Vec<PathBuf>,
    /// What has to be set by hand, under `[keys]`.
    settings: Vec<String>,
    /// The key before is nowhere: nobody signs its revocation list any more.
    key_before_missing: bool,
}

/// What is done, in this order, each whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Copies the key before to where it is kept.
    KeepKey,
    /// The same of its certificate.
    KeepCertificate,
    /// Copies the new key over the one before.
    PutKey,
    /// Writes the new certificate over the one before.
    PutCertificate,
    /// Takes away the key before, which is kept elsewhere: the new one is in a token.
    TakeKey,
    /// Takes away the new key where it came from.
    TakeSource,
}

/// Whose keys and certificates lie in the folder.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    key: Option<KeyId>,
    certificate: Option<KeyId>,
    kept_key: Option<KeyId>,
    kept_certificate: Option<KeyId>,
}

/// What comes.
#[derive(Clone, Copy, Debug)]
struct New {
    whose: Whose,
    key: KeyId,
    /// It comes into the folder, not from a token.
    in_file: bool,
    /// The key before is in a token, or in a file that the settings name.
    elsewhere: bool,
}

/// What is to do, seeing what lies there.
fn plan(found: Found, new: New) -> Result<Vec<Step>, Failure> {
    let of_ca = new.whose == Whose::InstanceCa;
    let old = found.certificate.filter(|old| *old != new.key);
    let foreign = |id: &KeyId| Some(*id) != old && *id != new.key;
    if new.in_file && found.key.as_ref().is_some_and(foreign) {
        let detail = format!("{0}.key is not the key of {0}.pem", new.whose.as_str());
        return Err(Failure::new("key-mismatch", "HS-1", detail, "move it away, and begin again"));
    }
    let mut steps = Vec::new();
    if let Some(old) = old {
        if of_ca && found.kept_certificate.is_some_and(|kept| kept != old) {
            let detail =
                "instance-ca.retired.pem is there: the instance CA before that one is not retired yet";
            return Err(Failure::new("ca-not-retired", "HS-1", detail, "run `fedplane ca retire` first"));
        }
        let kept = found.kept_key == Some(old);
        let keep = !kept && found.key == Some(old);
        if keep && of_ca && found.kept_key.is_some() {
            let detail = "instance-ca.retired.key is there, and is another key than the one that gives way";
            return Err(Failure::new("ca-not-retired", "HS-1", detail, "move it to where it is safe"));
        }
        steps.extend(keep.then_some(Step::KeepKey));
        if (kept || keep || new.elsewhere) && found.kept_certificate != Some(old) {
            steps.push(Step::KeepCertificate);
        }
    }
    if new.in_file && found.key != Some(new.key) {
        steps.push(Step::PutKey);
    }
    steps.push(Step::PutCertificate);
    if new.in_file {
        steps.push(Step::TakeSource);
    } else if found.key.is_some() && (found.kept_key == found.key || steps.contains(&Step::KeepKey)) {
        steps.push(Step::TakeKey);
    }
    Ok(steps)
}

/// The places of a key and its certificate.
pub(super) struct Place {
    whose: Whose,
    settings: Settings,
}

impl Place {
    pub(super) fn of(folder: &Folder, whose: Whose) -> Result<Self, Failure> {
        let settings = match folder.settings().exists() {
            true => folder_settings(folder)?,
            false => Settings::in_folder(folder.path()),
        };
        Ok(Self { whose, settings })
    }

    /// A file of the folder of online keys: the name, and this after it.
    pub(super) fn at(&self, suffix: &str) -> PathBuf {
        let folder = self.settings.path(&self.settings.paths.federation);
        folder.join(format!("{}{suffix}", self.whose.as_str()))
    }

    /// What the settings name as the key of the instance CA before, where it is not the file in the folder.
    pub(super) fn retired(&self) -> Option<&KeySource> {
        self.set("instance-ca.retired", &self.at(".retired.key"))
    }

    /// What the settings name in the place of this file.
    fn set(&self, name: &str, file: &Path) -> Option<&KeySource> {
        self.settings.keys.find(name).filter(|_| !same(&self.settings.key(name), &file.into()))
    }

    /// The key of this file, if there is one.
    fn key(&self, path: &Path, secrets: &mut Secrets) -> Result<Option<Signer>, Failure> {
        if !path.exists() {
            return Ok(None);
        }
        // The server's own passphrase first: then nobody has to be asked for it.
        let own = self.settings.passphrase_file().and_then(|file| Secret::read(&file).ok());
        let opened = SigningKey::unlock(path, &mut own.map_or_else(Secrets::none, Secrets::given));
        let opened = match opened {
            Err(KeyFileError::Locked(_) | KeyFileError::Passphrase(_)) => SigningKey::unlock(path, secrets),
            opened => opened,
        };
        Ok(Some(opened?.into()))
    }

    /// The key that the certificate of this file is over, if there is one.
    pub(super) fn certificate(path: &Path) -> Result<Option<KeyId>, Failure> {
        if !path.exists() {
            return Ok(None);
        }
        certified(path, &read_text(path)?)
    }

    fn found(&self, secrets: &mut Secrets) -> Result<Found, Failure> {
        let mut key =
            |suffix: &str| self.key(&self.at(suffix), secrets).map(|key| key.map(|key| key.key_id()));
        Ok(Found {
            key: key(".key")?,
            certificate: Self::certificate(&self.at(".pem"))?,
            kept_key: key(".retired.key")?,
            kept_certificate: Self::certificate(&self.at(".retired.pem"))?,
        })
    }
}

/// An activation on its way.
struct Activation {
    place: Place,
    steps: Vec<Step>,
    /// The new key's file.
    source: Option<PathBuf>,
    pem: String,
    activated: Activated,
}

impl ActivateArgs {
    pub(super) fn activate(&self, folder: &Folder, secrets: &SecretArgs) -> Result<Activated, Failure> {
        self.prepare(folder, &mut secrets.secrets()?)?.perform()
    }

    /// Checks both, and finds out what is to do.
    fn prepare(&self, folder: &Folder, secrets: &mut Secrets) -> Result<Activation, Failure> {
        let place = Place::of(folder, self.whose)?;
        let root = RootCa::from_pem(&folder.keys_document()?.root_ca)?;
        let pem = read_text(&self.cert)?;
        let signer = match &self.key {
            // It was moved before this was begun again.
            KeySource::File(path) if !path.exists() && certified(&self.cert, &pem)?.is_some() => {
                let moved = place.key(&place.at(".key"), secrets)?.filter(|key| {
                    certified(&self.cert, &pem).is_ok_and(|certified| certified == Some(key.key_id()))
                });
                moved.map_or_else(|| self.key.open(secrets), Ok)?
            }
            key => key.open(secrets)?,
        };
        let ends = self.check(&pem, &signer, &root)?;
        self.prepared(place, signer.key_id(), (pem, ends), secrets)
    }

    fn prepared(
        &self,
        place: Place,
        id: KeyId,
        (pem, ends): (String, Timestamp),
        secrets: &mut Secrets,
    ) -> Result<Activation, Failure> {
        let (own, kept) = (place.at(".key"), place.at(".retired.key"));
        if same(&self.key, &kept.as_path().into()) {
            let hint = "copy it out of the folder, and name the copy";
            return Err(Failure::usage(format!("{} is where the key before is kept", self.key), hint));
        }
        let found = place.found(secrets)?;
        let set = place.set(self.whose.as_str(), &own).cloned();
        let retired = place.retired().cloned();
        let already = set.is_some() && same(&place.settings.key(self.whose.as_str()), &self.key);
        // Where the settings go by the new one already, they name the one before as such, too.
        let elsewhere = set.clone().filter(|_| !already).or_else(|| retired.clone());
        let in_file = !self.key.is_token();
        let new = New { whose: self.whose, key: id, in_file, elsewhere: elsewhere.is_some() };
        let steps = plan(found, new)?;
        let old = found.certificate.filter(|old| *old != id).or(found.kept_certificate);
        let kept_here = steps.contains(&Step::KeepKey) || (old.is_some() && found.kept_key == old);
        let kept_anywhere = kept_here || elsewhere.is_some();
        let mut settings = Vec::new();
        if set.is_some() && in_file {
            settings.push(setting(self.whose, None));
        } else if !in_file && !already {
            settings.push(setting(self.whose, Some(&self.key)));
        }
        if self.whose == Whose::InstanceCa && old.is_some() {
            if kept_here && retired.is_some() {
                settings.push(retired_setting(None));
            } else if !kept_here && elsewhere.is_some() && retired != elsewhere {
                settings.push(retired_setting(elsewhere.as_ref()));
            }
        }
        let certificate_kept = steps.contains(&Step::KeepCertificate) || found.kept_certificate.is_some();
        let before = [(kept_here, kept), (certificate_kept, place.at(".retired.pem"))];
        let activated = Activated {
            whose: self.whose.as_str(),
            ends,
            before: before.into_iter().filter_map(|(there, path)| there.then_some(path)).collect(),
            settings,
            key_before_missing: self.whose == Whose::InstanceCa && old.is_some() && !kept_anywhere,
        };
        let source = match &self.key {
            KeySource::File(path) if !same(&self.key, &own.as_path().into()) => fs::canonicalize(path).ok(),
            _ => None,
        };
        Ok(Activation { place, steps, source, pem, activated })
    }

    /// Whether the certificate is of the root CA, over this key; until when.
    fn check(&self, pem: &str, key: &Signer, root: &RootCa) -> Result<Timestamp, Failure> {
        if self.whose == Whose::InstanceCa {
            return Ok(Issuer::instances(pem, key.clone(), root)?.expires());
        }
        let chain = trust::pem::certificates(pem)
            .map_err(|error| Failure::malformed(&self.cert, &error, "name what `ca certify` wrote"))?;
        trust::identity::check_any_server(&chain, root, clock::now())?;
        if certified(&self.cert, pem)? != Some(key.key_id()) {
            let detail = format!("{} is not over the key {}", self.cert.display(), key.key_id());
            return Err(Failure::new("key-mismatch", "HS-1", detail, "name the key that was certified"));
        }
        Ok(chain.first().map(trust::identity::expires).transpose()?.unwrap_or(Timestamp::from_millis(0)))
    }
}

impl Activation {
    fn perform(self) -> Result<Activated, Failure> {
        self.steps.iter().try_for_each(|step| self.step(*step))?;
        Ok(self.activated)
    }

    fn step(&self, step: Step) -> Result<(), Failure> {
        let at = |suffix: &str| self.place.at(suffix);
        let take = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::file(path, "take it away", &error))
            }
            _ => Ok(()),
        };
        match (step, &self.source) {
            (Step::KeepKey, _) => copy_over(&at(".key"), &at(".retired.key"))?,
            (Step::KeepCertificate, _) => {
                write_over(&at(".retired.pem"), read_text(&at(".pem"))?.as_bytes(), PUBLIC_MODE)?;
            }
            (Step::PutKey, Some(source)) => copy_over(source, &at(".key"))?,
            (Step::PutCertificate, _) => write_over(&at(".pem"), self.pem.as_bytes(), PUBLIC_MODE)?,
            (Step::TakeKey, _) => take(&at(".key"))?,
            (Step::TakeSource, Some(source)) => take(source)?,
            // It lies in the folder already.
            (Step::PutKey | Step::TakeSource, None) => {}
        }
        Ok(())
    }
}

impl Activated {
    pub(super) fn report(&self) -> String {
        let mut lines = vec![format!(
            "The {} is another from the next start of the server on, until {}.",
            self.whose, self.ends
        )];
        lines.extend(
            self.settings.iter().map(|setting| format!("Set in fedplane.toml, under [keys]: {setting}")),
        );
        lines.extend(self.before.iter().map(|path| format!("The one before: {}", path.display())));
        if self.key_before_missing {
            lines.push(
                "The key before is nowhere to be found: to have its revocation list signed, set retired_ca under [keys]."
                    .to_owned(),
            );
        } else if self.whose == Whose::InstanceCa.as_str() {
            lines.push("It signs its revocation list until `fedplane ca retire`, which begins to count when the server has started again.".to_owned());
        }
        lines.join("\n")
    }
}

/// The key that a certificate is over.
fn certified(path: &Path, pem: &str) -> Result<Option<KeyId>, Failure> {
    let chain = trust::pem::certificates(pem)
        .map_err(|error| Failure::malformed(path, &error, "name what `ca certify` wrote"))?;
    Ok(chain.first().map(trust::identity::public_key).transpose()?.map(|key| key.id()))
}

/// A line of the settings; an empty text: the file in the folder.
fn setting(whose: Whose, key: Option<&KeySource>) -> String {
    line(&whose.as_str().replace('-', "_"), key)
}

/// The same, of the instance CA before.
pub(super) fn retired_setting(key: Option<&KeySource>) -> String {
    line("retired_ca", key)
}

fn line(field: &str, key: Option<&KeySource>) -> String {
    let text = key.map(ToString::to_string).unwrap_or_default();
    format!("{field} = {}", toml::Value::String(text))
}

/// Whether both name one key: the same file, or the same object, whoever gives the PIN.
fn same(one: &KeySource, other: &KeySource) -> bool {
    match (one, other) {
        (KeySource::File(one), KeySource::File(other)) => {
            one == other
                || fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|o| o == one))
        }
        (KeySource::Token(one), KeySource::Token(other)) => {
            (&one.token, &one.object, &one.id) == (&other.token, &other.object, &other.id)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
