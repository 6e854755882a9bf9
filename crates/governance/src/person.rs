//! People: who governs, audits or bills, by a certificate of the root CA; the role stands in the SPIFFE id. And which roles may
//! ask for what is decided by hand: the server lets in, and the verifier believes, the same.

use core::fmt;

use crate::id::{OperatorName, ProviderId};
use crate::text::words;

words! {
    /// What a person is there for.
    pub enum PersonRole ("role") {
        /// Operates the federation.
        Operator = "operator",
        /// Operates the instances of one provider (ID-3).
        Provider = "provider",
        /// Reads everything and changes nothing.
        Auditor = "auditor",
        /// Says what instances pay for.
        Billing = "billing",
        /// Signs for the Founder: hands in orders, and has escalations in hand (FO-1, FO-2).
        FounderSigner = "founder-signer",
    }
}

/// Who operates.
pub const OPERATORS: &[PersonRole] = &[PersonRole::Operator];
/// Who operates, or operates a provider's own instances (ID-3).
pub const MANAGERS: &[PersonRole] = &[PersonRole::Operator, PersonRole::Provider];
/// Who says what instances pay for.
pub const PAYERS: &[PersonRole] = &[PersonRole::Operator, PersonRole::Billing];
/// Who operates, or signs for the Founder (FO-2).
pub const SIGNERS: &[PersonRole] = &[PersonRole::Operator, PersonRole::FounderSigner];

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

    /// Whether instances of this provider, or of none, are his to see and manage: a provider's people have its own alone (ID-3).
    #[must_use]
    pub fn has(&self, provider: Option<&ProviderId>) -> bool {
        self.provider.as_ref().is_none_or(|own| Some(own) == provider)
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
