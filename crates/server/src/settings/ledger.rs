//! The ledger's witnesses in the settings.

use std::fmt;

use ::ledger::WitnessKey;
use plane::witnesses::WITNESSES_MAX;
use serde::{Deserialize, Serialize};

/// Who cosigns the ledger's checkpoints before anyone is shown them (LG-2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ledger {
    /// How many witnesses must have cosigned.
    pub quorum: usize,
    /// The witnesses.
    pub witness: Vec<Witness>,
}

/// A witness of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Its verifier key: name, id and key, as `fedplane witness` prints it.
    #[serde(with = "as_text")]
    pub key: WitnessKey,
    /// Where it is asked, without `/add-checkpoint`.
    pub url: String,
}

impl Ledger {
    /// Whether this can be: the key at fault, and why not.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let Self { quorum, witness: witnesses } = self;
        if witnesses.len() > WITNESSES_MAX {
            return Err((
                "ledger.witness",
                format!("{} witnesses: at most {WITNESSES_MAX}", witnesses.len()),
            ));
        }
        if *quorum > witnesses.len() {
            let why = format!("{quorum} must cosign, and {} can: name more witnesses", witnesses.len());
            return Err(("ledger.quorum", why));
        }
        let twice = |same: &dyn Fn(&Witness, &Witness) -> bool| {
            witnesses
                .iter()
                .enumerate()
                .find(|(at, one)| witnesses.iter().skip(at + 1).any(|other| same(one, other)))
        };
        if let Some((_, one)) = twice(&|a, b| a.key.name() == b.key.name()) {
            return Err(("ledger.witness", format!("{} is named twice: each counts once", one.key.name())));
        }
        if let Some((_, one)) = twice(&|a, b| a.key.public_key() == b.key.public_key()) {
            let why = format!("another witness has the key of {}: each has its own", one.key.name());
            return Err(("ledger.witness", why));
        }
        let host = |url: &str| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty())
        };
        match witnesses.iter().find(|witness| !host(&witness.url)) {
            Some(witness) => {
                let why =
                    format!("{:?}: write it as https://HOST:PORT, with a path where it has one", witness.url);
                Err(("ledger.witness", why))
            }
            None => Ok(()),
        }
    }

    pub(super) fn to_toml(&self) -> String {
        let text = |value: &dyn fmt::Display| toml::Value::String(value.to_string()).to_string();
        let one = |witness: &Witness| {
            let (key, url) = (text(&witness.key), text(&witness.url));
            format!(
                "\n[[ledger.witness]]\n# Its verifier key, as `fedplane witness` prints it.\nkey = {key}\n\
                 # Where it is asked.\nurl = {url}\n"
            )
        };
        self.witness.iter().map(one).collect()
    }
}

/// A verifier key as it is written.
mod as_text {
    use ::ledger::WitnessKey;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &WitnessKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WitnessKey, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::Settings;

    pub(in crate::settings) fn witness(name: &str, seed: u8, url: &str) -> Witness {
        let public = proof::Sign::public_key(&proof::SeedKey::new([seed; 32])).as_bytes().to_owned();
        Witness { key: WitnessKey::new(name.parse().unwrap(), &public).unwrap(), url: url.to_owned() }
    }

    #[test]
    fn lg_2_no_quorum_that_cannot_be_met_or_that_one_witness_makes_alone() {
        let check = |quorum: usize, witness: Vec<Witness>, expected: Option<&str>| {
            let settings = Settings { ledger: Ledger { quorum, witness }, ..Settings::in_folder("/f") };
            let error = settings.check().err().map(|(_, why)| why);
            match expected {
                Some(part) => assert!(error.as_ref().is_some_and(|why| why.contains(part)), "{error:?}"),
                None => assert_eq!(error, None),
            }
        };
        let (a, b) = (witness("a", 1, "https://a"), witness("b", 2, "https://b:1/c"));
        check(0, vec![], None);
        check(0, vec![a.clone()], None);
        check(2, vec![a.clone(), b.clone()], None);
        check(1, vec![], Some("name more witnesses"));
        check(3, vec![a.clone(), b.clone()], Some("2 can"));
        check(2, vec![a.clone(), witness("a", 2, "https://b")], Some("named twice"));
        check(2, vec![a.clone(), witness("b", 1, "https://b")], Some("its own"));
        check(1, vec![witness("a", 1, "a.example")], Some("https://HOST:PORT"));
        let many = |count: u8| (1..=count).map(|n| witness(&format!("w{n}"), n, "https://w")).collect();
        check(16, many(16), None);
        check(1, many(17), Some("at most 16"));
    }
}
