//! Keys in tokens, by PKCS #11: hardware modules, smart cards, or a software token in a process apart.
//!
//! Never learns the private key, never tries a refused PIN again, and never passes a signature on that does not verify.

mod patience;
mod token;
mod uri;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use proof::{PublicKey, Sign, SignError};

use crate::random;
use crate::secret::Secrets;
use token::{Fault, Token};

pub use token::SESSIONS_MAX;
pub use uri::{Pkcs11Uri, SCHEME, TokenName, URI_BYTES_MAX, UriError, VALUE_BYTES_MAX};

/// Ed25519 as tokens want it named: the curve's name as a PrintableString (PKCS #11 3.0 §2.3.5), which SoftHSM knows alone.
const CURVE_NAME: &[u8] = b"\x13\x0cedwards25519";
/// The same as an object identifier (RFC 8410), which other tokens know.
const CURVE_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// A key in a token cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct TokenError {
    /// The key, as a URI.
    pub key: String,
    /// What failed, and what to do.
    pub why: String,
}

/// A private key in a token. It signs one message after another, from any thread: a few sessions are shared by all.
pub struct TokenKey(Arc<Opened>);

struct Opened {
    uri: Pkcs11Uri,
    token: Arc<Token>,
    public: PublicKey,
    /// Where the token has it, since the sessions were opened last.
    found: Mutex<Option<(u64, ObjectHandle)>>,
}

impl TokenKey {
    /// Opens a key that is in a token.
    ///
    /// # Errors
    /// When the module, the token, the PIN or the key is not there, or not as it must be.
    pub fn open(uri: &Pkcs11Uri, secrets: &mut Secrets) -> Result<Self, TokenError> {
        let fail = |fault: Fault| failed(uri, &fault);
        let token = Token::open(uri, secrets).map_err(fail)?;
        let public = token.with(false, |session, _| public_key(session, uri)).map_err(fail)?;
        Ok(Self(Arc::new(Opened { uri: uri.clone(), token, public, found: Mutex::default() })))
    }

    /// Makes a key in a token, from where it cannot be taken out; its label is the URI's `object`.
    ///
    /// # Errors
    /// As [`TokenKey::open`], and when a key of that name is there already, or the token cannot make one.
    pub fn make(uri: &Pkcs11Uri, secrets: &mut Secrets) -> Result<Self, TokenError> {
        let fail = |fault: Fault| failed(uri, &fault);
        let unnamed = "name the key that is to be made: object=NAME";
        let label = uri.object.as_deref().ok_or_else(|| fail(Fault::told(unnamed)))?;
        let id = match &uri.id {
            Some(id) => id.clone(),
            None => random::<16>().map_err(|error| fail(Fault::told(error)))?.to_vec(),
        };
        let token = Token::open(uri, secrets).map_err(fail)?;
        token.with(true, |session, _| make(session, label, &id)).map_err(fail)?;
        let made = Pkcs11Uri { id: Some(id), ..uri.clone() };
        let public = token.with(false, |session, _| public_key(session, &made)).map_err(fail)?;
        Ok(Self(Arc::new(Opened { uri: uri.clone(), token, public, found: Mutex::default() })))
    }

    /// Takes the key out of the token for good.
    ///
    /// # Errors
    /// When the token refuses.
    pub fn destroy(self) -> Result<(), TokenError> {
        let destroyed = self.0.token.with(true, |session, _| {
            let (private, public) = pair(session, &self.0.uri)?;
            session.destroy_object(private)?;
            Ok(session.destroy_object(public)?)
        });
        destroyed.map_err(|fault| failed(&self.0.uri, &fault))
    }
}

impl Opened {
    fn signature(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
        let signature = self.token.with(false, |session, since| {
            Ok(session.sign(&mechanism, self.handle(session, since)?, message)?)
        })?;
        let signature =
            signature.as_slice().try_into().ok().filter(|bytes| self.public.verify(message, bytes).is_ok());
        signature
            .ok_or_else(|| Fault::told("what the token gave is no signature of this key: see to the token"))
    }

    fn handle(&self, session: &Session, since: u64) -> Result<ObjectHandle, Fault> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let known = *found();
        match known {
            Some((at, handle)) if at == since => Ok(handle),
            _ => {
                // It was there when it was opened. Not asked for behind the lock: the module may hang.
                let handle = private_key(session, &self.uri).map_err(Fault::gone)?;
                *found() = Some((since, handle));
                Ok(handle)
            }
        }
    }
}

impl Sign for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.0.public
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let (opened, message) = (Arc::clone(&self.0), message.to_vec());
        let signature = self.0.token.patience.call(move || opened.signature(&message));
        signature.map_err(|fault| SignError {
            key: self.0.public.id(),
            why: failed(&self.0.uri, &fault).to_string(),
        })
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({} at {})", self.0.public.id(), self.0.uri)
    }
}

fn failed(uri: &Pkcs11Uri, fault: &Fault) -> TokenError {
    TokenError { key: uri.to_string(), why: fault.to_string() }
}

/// What an object must be, to be the one that is named.
fn template(class: ObjectClass, label: Option<&str>, id: Option<&[u8]>) -> Vec<Attribute> {
    let mut template = vec![Attribute::Class(class), Attribute::KeyType(KeyType::EC_EDWARDS)];
    template.extend(label.map(|label| Attribute::Label(label.as_bytes().to_vec())));
    template.extend(id.map(|id| Attribute::Id(id.to_vec())));
    template
}

fn private_key(session: &Session, uri: &Pkcs11Uri) -> Result<ObjectHandle, Fault> {
    if uri.object.is_none() && uri.id.is_none() {
        return Err(Fault::told("say which key of the token: object=LABEL, or id=%01…"));
    }
    let found = session.find_objects(&template(
        ObjectClass::PRIVATE_KEY,
        uri.object.as_deref(),
        uri.id.as_deref(),
    ))?;
    match found.as_slice() {
        [key] => Ok(*key),
        [] => Err(Fault::told(
            "the token has no such Ed25519 key; list what it has, or make one: fedplane key make NAME",
        )),
        more => Err(Fault::told(format!("{} keys of the token fit: say which with id=", more.len()))),
    }
}

/// The private key and the public one beside it, which has the same id.
fn pair(session: &Session, uri: &Pkcs11Uri) -> Result<(ObjectHandle, ObjectHandle), Fault> {
    let private = private_key(session, uri)?;
    let id = session.get_attributes(private, &[AttributeType::Id])?.into_iter().find_map(|attribute| {
        match attribute {
            Attribute::Id(id) if !id.is_empty() => Some(id),
            _ => None,
        }
    });
    // Without an id of its own, the label must do.
    let label = uri.object.as_deref().filter(|_| id.is_none());
    let found = session.find_objects(&template(ObjectClass::PUBLIC_KEY, label, id.as_deref()))?;
    match found.as_slice() {
        [public] => Ok((private, *public)),
        _ => {
            Err(Fault::told("the token has no public key, or several, of the same id beside the private one"))
        }
    }
}

fn public_key(session: &Session, uri: &Pkcs11Uri) -> Result<PublicKey, Fault> {
    let (_, public) = pair(session, uri)?;
    let attributes = session.get_attributes(public, &[AttributeType::EcPoint])?;
    let point = attributes.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => ed25519_point(point),
        _ => None,
    });
    let key = point.and_then(|point| PublicKey::from_bytes(point).ok());
    key.ok_or_else(|| Fault::told("the token's public key beside it is no Ed25519 key"))
}

/// The 32 bytes of a point: bare (PKCS #11 3.1), or in an OCTET STRING or BIT STRING as tokens wrote before.
fn ed25519_point(bytes: &[u8]) -> Option<&[u8; 32]> {
    let bare = match bytes.len() {
        32 => bytes,
        34 => bytes.strip_prefix(&[0x04, 0x20])?,
        35 => bytes.strip_prefix(&[0x03, 0x21, 0x00])?,
        _ => return None,
    };
    bare.try_into().ok()
}

fn make(session: &Session, label: &str, id: &[u8]) -> Result<(), Fault> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        let named = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
        let numbered = [Attribute::Class(class), Attribute::Id(id.to_vec())];
        if !session.find_objects(&named)?.is_empty() || !session.find_objects(&numbered)?.is_empty() {
            return Err(Fault::told(
                "the token has a key of that name or id already, and none is overwritten; choose another name",
            ));
        }
    }
    let named =
        [Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id.to_vec()), Attribute::Token(true)];
    let private = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let private = [named.as_slice(), private.as_slice()].concat();
    let generate = |curve: &[u8]| {
        let public = [Attribute::Verify(true), Attribute::EcParams(curve.to_vec())];
        let public = [named.as_slice(), public.as_slice()].concat();
        session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, &private)
    };
    match generate(CURVE_NAME) {
        Err(error) if token::is_about_the_curve(&error) => generate(CURVE_OID)?,
        made => made?,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_in_each_of_its_forms() {
        let bare = [7; 32];
        let with = |prefix: &[u8]| [prefix, bare.as_slice()].concat();
        for bytes in [with(&[]), with(&[4, 0x20]), with(&[3, 0x21, 0])] {
            assert_eq!(ed25519_point(&bytes), Some(&bare));
        }
        for bytes in [with(&[4, 0x21]), with(&[3, 0x20, 0]), with(&[0]), Vec::new()] {
            assert_eq!(ed25519_point(&bytes), None, "{bytes:?}");
        }
    }
}
