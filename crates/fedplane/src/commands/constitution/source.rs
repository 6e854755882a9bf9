//! Where a constitution comes from: a draft, a signed document, an order that brings one, or the plane.
//!
//! Never shows as the Founder's what the Founder's keys did not sign.

use std::path::{Path, PathBuf};

use governance::{Constitution, ConstitutionDocument, Digest, Timestamp};
use proof::order::{Order, OrderAction};
use proof::{Jws, KeySet, Typ};
use serde::Serialize;

use crate::connect::ConnectArgs;
use crate::folder::{Folder, read_text};
use crate::{Failure, law};

/// A constitution and what is known about it.
#[derive(Clone, Debug, Serialize)]
pub struct Law {
    /// Where it was found.
    pub source: String,
    /// The digest it goes by, where it is a document.
    pub digest: Option<Digest>,
    /// The digest of the one it replaces; none for the first.
    pub previous: Option<Digest>,
    /// From when it holds, where it is a document.
    pub effective: Option<Timestamp>,
    /// Whether the Founder's threshold signed it; none where it is a draft, or the root keys are not known.
    pub signed: Option<bool>,
    /// Why it does not count as signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<String>,
    /// Its parameters.
    #[serde(skip)]
    pub parameters: Constitution,
}

impl Law {
    /// One that nobody signed.
    pub(super) fn unsigned(source: &str, parameters: Constitution) -> Self {
        let source = source.to_owned();
        Self {
            source,
            digest: None,
            previous: None,
            effective: None,
            signed: None,
            unsigned: None,
            parameters,
        }
    }

    /// A document, held against the Founder's keys where they are known.
    fn signed(source: &str, document: &Jws, keys: Option<&KeySet>) -> Result<Self, Failure> {
        let content: ConstitutionDocument =
            document.parse_unverified().map_err(|error| Failure::untrusted(source, "FO-5", &error))?;
        let proved = keys.map(|keys| document.verify(Typ::Constitution, keys));
        Ok(Self {
            source: source.to_owned(),
            digest: Some(document.digest()),
            previous: content.previous,
            effective: Some(content.effective),
            signed: proved.as_ref().map(Result::is_ok),
            unsigned: proved.and_then(Result::err).map(|error| error.to_string()),
            parameters: content.parameters,
        })
    }

    /// What is known about it, for people.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![("constitution", self.source.clone())];
        let Some(digest) = self.digest else { return pairs };
        pairs.push(("digest", digest.to_string()));
        pairs.push((
            "replaces",
            self.previous.map_or_else(|| "none: it is the first".to_owned(), |d| d.to_string()),
        ));
        pairs.extend(self.effective.map(|effective| ("effective", effective.to_string())));
        let signed = match (self.signed, &self.unsigned) {
            (Some(true), _) => "by the Founder".to_owned(),
            (Some(false), why) => format!("not by the Founder: {}", why.as_deref().unwrap_or("too few")),
            (None, _) => "not looked at: --federation names no folder with founder.json".to_owned(),
        };
        pairs.push(("signed", signed));
        pairs
    }

    /// Refuses one that the Founder's threshold did not sign.
    pub(super) fn must_be_signed(self) -> Result<Self, Failure> {
        let why = match (&self.signed, &self.digest) {
            (Some(true), Some(_)) => return Ok(self),
            (_, None) => "a draft, which nobody signed",
            (None, _) => "the root keys are not known",
            (Some(false), _) => self.unsigned.as_deref().unwrap_or("too few signatures"),
        };
        let detail = format!("{}: {why}", self.source);
        let hint =
            "name the constitution that the Founder signed, and the folder with founder.json by --federation";
        Err(Failure::new("untrusted", "FO-5", detail, hint))
    }
}

/// Founders before that are looked for.
const FOUNDERS_MAX: usize = 1_000;

/// The Founder's keys as the folder has them: of the keys document, else of `founder.json`, else none.
pub(crate) fn founder(folder: &Folder) -> Result<Option<KeySet>, Failure> {
    match (folder.founder().exists(), folder.keys().exists()) {
        (false, _) => Ok(None),
        (true, true) => Ok(Some(folder.keys_document()?.founder)),
        (true, false) => folder.root_keys().map(Some),
    }
}

/// A draft, a signed constitution, or the constitution that an order brings.
pub(crate) fn of_file(path: &Path, keys: Option<&KeySet>) -> Result<Law, Failure> {
    let name = path.display().to_string();
    let text = read_text(path)?;
    if !text.trim_start().starts_with('{') {
        return Ok(Law::unsigned(&name, law::parse(&name, &text)?));
    }
    let hint = "name a constitution, signed or as TOML, or an order that amends it";
    let document = Jws::parse(text.as_bytes()).map_err(|error| Failure::malformed(path, &error, hint))?;
    match document.parse_unverified::<Order>().map(|order| order.action) {
        Ok(OrderAction::Amend { constitution, .. }) => Law::signed(&name, &constitution, keys),
        Ok(other) => {
            let what = format!("an order to {}, which brings no constitution", other.as_str());
            Err(Failure::malformed(path, &what, hint))
        }
        Err(_) => Law::signed(&name, &document, keys),
    }
}

/// The law in force, as the plane has it and the Founder signed it.
pub(super) async fn in_force(connect: &ConnectArgs) -> Result<Law, Failure> {
    let Some(keys) = founder(&connect.folder())? else {
        let detail = format!("{}: no founder.json, and so no keys to believe", connect.federation.display());
        return Err(Failure::new(
            "root-keys",
            "FO-5",
            detail,
            "name the federation's folder: --federation DIR",
        ));
    };
    let answer = connect.client()?.constitution().await.map_err(Failure::from);
    let document = answer.map_err(|mut failure| {
        if failure.code() == "unreachable"
            && let Some(reason) = failure.reasons.first_mut()
        {
            reason.hint.push_str("; or name a file instead, as DIR/constitution.sig");
        }
        failure
    })?;
    let law = Law::signed("the law in force", &document, Some(&keys))?;
    if law.signed == Some(true) {
        return Ok(law);
    }
    for (path, before) in founders_before(&connect.folder())? {
        let source = format!("the law in force, signed by the Founder before ({})", path.display());
        let earlier = Law::signed(&source, &document, Some(&before))?;
        if earlier.signed == Some(true) {
            return Ok(earlier);
        }
    }
    law.must_be_signed()
}

/// The root keys before, newest first, as `keys adopt` kept them: a law stays in force when the Founder's keys change.
fn founders_before(folder: &Folder) -> Result<Vec<(PathBuf, KeySet)>, Failure> {
    let serial = folder.keys_document()?.serial;
    let paths = (1..serial)
        .rev()
        .take(FOUNDERS_MAX)
        .map(|serial| folder.path().join(format!("founder.{serial}.json")));
    let read = |path: PathBuf| {
        let text = read_text(&path)?;
        let keys = serde_json::from_str(&text);
        let keys =
            keys.map_err(|error| Failure::malformed(&path, &error, "it is what `keys adopt` kept there"))?;
        Ok((path, keys))
    };
    paths.filter(|path| path.exists()).map(read).collect()
}
