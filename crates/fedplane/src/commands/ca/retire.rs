//! Removes what was kept of the instance CA before, once nothing that it issued counts.
//!
//! Never counts from a time at which it may still have issued: the plane itself shows that another one does.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use client::Public;
use governance::{ConstitutionDocument, Span, Timestamp};
use proof::jws::DOCUMENT_BYTES_MAX;
use proof::{Jws, KeyId};
use serde::{Deserialize, Serialize};
use trust::RootCa;
use trust::keyfile::{PUBLIC_MODE, write_over};

use super::Whose;
use super::activate::{Place, retired_setting};
use crate::Failure;
use crate::connect::{public_url, tls_failure};
use crate::folder::{Folder, read_document, read_json, read_text};

/// The longest revocation list that is looked at, in bytes.
const LIST_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Args, Clone, Debug)]
pub(super) struct RetireArgs {
    /// Removes it though certificates that it issued may still count; the plane is not asked.
    #[arg(long)]
    now: bool,
    /// The address where the plane publishes, instead of the folder's, as `https://plane.example:8445`.
    #[arg(long, value_name = "URL", conflicts_with = "now")]
    url: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Retired {
    removed: Vec<PathBuf>,
    /// What has to be set by hand, under `[keys]`.
    setting: Option<String>,
}

/// Since when the plane has been seen to issue by another one: kept beside the certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// The key of the instance CA before.
    key: KeyId,
    since: Timestamp,
    /// How long what it issued until then may count, or be renewed.
    lasts: Span,
}

impl RetireArgs {
    pub(super) async fn retire(&self, folder: &Folder, now: Timestamp) -> Result<Retired, Failure> {
        let place = Place::of(folder, Whose::InstanceCa)?;
        let key = waiting(&place)?;
        if !self.now {
            let path = place.at(".retired.json");
            let seen =
                path.exists().then(|| read_json::<Seen>(&path, "remove it, and ask again")).transpose()?;
            let seen = match seen.filter(|seen| seen.key == key) {
                Some(seen) => seen,
                None => {
                    let lasts = self.ask(folder, &place).await?;
                    let seen = Seen { key, since: now, lasts };
                    let text = serde_json::to_string_pretty(&seen)
                        .map_err(|error| Failure::new("output", "HS-1", error.to_string(), ""))?;
                    write_over(&path, format!("{text}\n").as_bytes(), PUBLIC_MODE)?;
                    seen
                }
            };
            must_be_over(&seen, now)?;
        }
        remove(&place)
    }

    /// Asks the plane whether it issues by another one; how long what was issued may count.
    async fn ask(&self, folder: &Folder, place: &Place) -> Result<Span, Failure> {
        let root = RootCa::from_pem(&folder.keys_document()?.root_ca)?;
        let tls = trust::tls::anonymous_client_config(&root).map_err(|error| tls_failure(&error))?;
        let url = self.url.clone().map_or_else(|| public_url(folder), Ok)?;
        let public = Public::new(&url, tls)?;
        let list = public.file("/crl-retired.der", LIST_BYTES_MAX).await?;
        let retired = trust::pem::certificates(&read_text(&place.at(".retired.pem"))?)
            .map_err(|error| Failure::malformed(&place.at(".retired.pem"), &error, "see what lies there"))?;
        let retired = retired.first().map(trust::identity::public_key).transpose()?;
        if !retired.zip(list).is_some_and(|(key, list)| trust::ca::signed_list(&list, &key)) {
            let detail =
                "the plane still issues by the instance CA before: it has not started since `ca activate`";
            let hint = "start the server again, and then this; or use --now";
            return Err(Failure::new("ca-not-started", "HS-1", detail, hint));
        }
        let law = public.file("/constitution.json", DOCUMENT_BYTES_MAX as u64).await?.unwrap_or_default();
        let untrusted = |error| Failure::untrusted("the constitution", "FO-5", &error);
        let law = Jws::parse(&law).map_err(untrusted)?;
        // The plane's word is enough here, and the Founder who signed it may be one of before.
        let law: ConstitutionDocument = law.parse_unverified().map_err(untrusted)?;
        let first = founding(&folder.constitution_signed())?;
        Ok(lasting(&law).max(first.as_ref().map_or(Span::default(), lasting)))
    }
}

/// A certificate counts for its lifetime, and may be renewed within the grace (HS-2).
fn lasting(law: &ConstitutionDocument) -> Span {
    law.parameters.identity_certificate_lifetime + law.parameters.identity_renewal_grace
}

/// The law that the folder has: the first one, mostly, under which certificates may have lasted longer.
fn founding(path: &Path) -> Result<Option<ConstitutionDocument>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let law = read_document(path)?.parse_unverified();
    law.map(Some).map_err(|error| Failure::untrusted("the constitution", "FO-5", &error))
}

/// The key of the instance CA that waits to be retired.
fn waiting(place: &Place) -> Result<KeyId, Failure> {
    let retired = place.at(".retired.pem");
    let Some(key) = Place::certificate(&retired)? else {
        let detail = format!("{} is not there: no instance CA waits to be retired", retired.display());
        let hint = "`ca activate` keeps the one before there";
        return Err(Failure::new("ca-none-retired", "HS-1", detail, hint));
    };
    if Place::certificate(&place.at(".pem"))? == Some(key) {
        let detail = "the instance CA before is the one in force: its activation was cut short";
        return Err(Failure::new("ca-in-use", "HS-1", detail, "run `fedplane ca activate` once more"));
    }
    Ok(key)
}

fn must_be_over(seen: &Seen, now: Timestamp) -> Result<(), Failure> {
    let Seen { since, lasts, .. } = seen;
    let until = *since + *lasts;
    if now > until {
        return Ok(());
    }
    let detail = format!(
        "certificates that it issued may be renewed until {until}, {lasts} after the plane was first seen to issue by the other"
    );
    Err(Failure::new("ca-in-use", "HS-2", detail, "wait until then, or use --now"))
}

fn remove(place: &Place) -> Result<Retired, Failure> {
    let setting = place.retired().map(|_| retired_setting(None));
    let mut removed = Vec::new();
    // The certificate last: as long as it is there, this is begun again.
    for path in [".retired.json", ".retired.key", ".retired.pem"].map(|suffix| place.at(suffix)) {
        if path.exists() {
            fs::remove_file(&path).map_err(|error| Failure::file(&path, "remove it", &error))?;
            removed.push(path);
        }
    }
    Ok(Retired { removed, setting })
}

impl Retired {
    pub(super) fn report(&self) -> String {
        let mut lines = vec!["The instance CA before is removed; start the server again.".to_owned()];
        lines.extend(self.setting.iter().map(|line| {
            format!(
                "Set in fedplane.toml, under [keys]: {line}\nIts key stays where it is: destroy it there."
            )
        }));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::commands::init::{create, tests::options};

    #[tokio::test]
    async fn hs_2_an_instance_ca_is_retired_when_nothing_that_it_issued_counts() {
        let place = tempfile::tempdir().unwrap();
        let mut options = options(place.path().join("f"));
        options.now = clock::now();
        let folder = Folder::new(create(&options).unwrap().folder);
        let here = Place::of(&folder, Whose::InstanceCa).unwrap();
        let args = RetireArgs { now: false, url: Some("https://127.0.0.1:1".to_owned()) };
        let now = Timestamp::from_millis(1_800_000_000_000);
        let code = |result: Result<Retired, Failure>| result.unwrap_err().code().to_owned();
        assert_eq!(code(args.retire(&folder, now).await), "ca-none-retired");
        // Cut short: what is kept is what is in force, and is not removed even with --now.
        fs::copy(here.at(".pem"), here.at(".retired.pem")).unwrap();
        let at_once = RetireArgs { now: true, url: None };
        assert_eq!(code(at_once.retire(&folder, now).await), "ca-in-use");
        // Another one: any certificate of another key.
        fs::copy(folder.operators().join("admin.pem"), here.at(".retired.pem")).unwrap();
        assert_eq!(code(args.retire(&folder, now).await), "unreachable");
        let key = waiting(&here).unwrap();
        let seen = Seen { key, since: now, lasts: Span::hours(30) };
        let text = serde_json::to_string(&seen).unwrap();
        fs::write(here.at(".retired.json"), &text).unwrap();
        assert_eq!(code(args.retire(&folder, now + Span::hours(30)).await), "ca-in-use");
        // What was seen of another one counts for nothing.
        let other = Place::certificate(&here.at(".pem")).unwrap().unwrap();
        fs::write(here.at(".retired.json"), text.replace(&key.to_string(), &other.to_string())).unwrap();
        assert_eq!(code(args.retire(&folder, now + Span::hours(31)).await), "unreachable");
        fs::write(here.at(".retired.json"), &text).unwrap();
        let retired = args.retire(&folder, now + Span::hours(31)).await.unwrap();
        assert_eq!(retired.removed, [here.at(".retired.json"), here.at(".retired.pem")]);
        assert!(here.at(".key").exists() && here.at(".pem").exists());
    }
}
