//! People: who governs, audits or bills, by a certificate of the root CA; the role stands in the SPIFFE id.
//!
//! Never says what a role may do: the server's table does.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::id::{OperatorName, ProviderId};

/// What a person is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonRole {
    /// Operates the federation.
    Operator,
    /// Operates the instances of one provider (ID-3).
    Provider,
    /// Reads everything and changes nothing.
    Auditor,
    /// Says what instances pay for.
    Billing,
    /// Signs for the Founder: hands in orders, and has escalations in hand (FO-1, FO-2).
    FounderSigner,
}

impl PersonRole {
    /// Every role.
    pub const ALL: &'static [Self] =
        &[Self::Operator, Self::Provider, Self::Auditor, Self::Billing, Self::FounderSigner];

    /// Its word, as it stands in SPIFFE ids.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Provider => "provider",
            Self::Auditor => "auditor",
            Self::Billing => "billing",
            Self::FounderSigner => "founder-signer",
        }
    }
}

impl fmt::Display for PersonRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl core::str::FromStr for PersonRole {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|role| role.as_str() == text);
        let words = || Self::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| alloc::format!("no such role: one of {}", words()))
    }
}

/// A person. Text: `operator/admin`, `provider/acme/alice`: the path of the SPIFFE id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    role: PersonRole,
    provider: Option<ProviderId>,
    name: OperatorName,
}

impl Person {
    /// Somebody of this role; a provider is named exactly where the role is that of one.
    #[must_use]
    pub fn new(role: PersonRole, provider: Option<ProviderId>, name: OperatorName) -> Option<Self> {
        let fits = (role == PersonRole::Provider) == provider.is_some();
        fits.then_some(Self { role, provider, name })
    }

    /// An operator of the federation.
    #[must_use]
    pub const fn operator(name: OperatorName) -> Self {
        Self { role: PersonRole::Operator, provider: None, name }
    }

    /// What he is there for.
    #[must_use]
    pub const fn role(&self) -> PersonRole {
        self.role
    }

    /// Whose instances alone he sees, where he is a provider's (ID-3).
    #[must_use]
    pub const fn provider(&self) -> Option<&ProviderId> {
        self.provider.as_ref()
    }

    /// What he is called.
    #[must_use]
    pub const fn name(&self) -> &OperatorName {
        &self.name
    }

    /// Reads the path of a SPIFFE id; none if it names no person.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        let (role, rest) = path.split_once('/')?;
        let role: PersonRole = role.parse().ok()?;
        match role {
            PersonRole::Provider => {
                let (provider, name) = rest.split_once('/')?;
                Some(Self { role, provider: Some(provider.parse().ok()?), name: name.parse().ok()? })
            }
            _ => Some(Self { role, provider: None, name: rest.parse().ok()? }),
        }
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.provider {
            Some(provider) => write!(f, "{}/{provider}/{}", self.role, self.name),
            None => write!(f, "{}/{}", self.role, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_person_is_read_as_written_and_no_other_path_is_one() {
        for path in
            ["operator/admin", "provider/acme/alice", "auditor/eve", "billing/meter", "founder-signer/one"]
        {
            assert_eq!(Person::from_path(path).unwrap().to_string(), path);
        }
        for path in [
            "operator",
            "operator/",
            "operator/a/b",
            "provider/acme",
            "provider/acme/",
            "provider//alice",
            "provider/acme/alice/x",
            "auditor/..",
            "server/plane",
            "instance/07070707-0707-4707-8707-070707070707",
            "Operator/admin",
            "operator/admin/",
        ] {
            assert_eq!(Person::from_path(path), None, "{path}");
        }
        let name = || "a".parse().unwrap();
        assert_eq!(Person::new(PersonRole::Provider, None, name()), None);
        assert_eq!(Person::new(PersonRole::Auditor, "acme".parse().ok(), name()), None);
    }
}
