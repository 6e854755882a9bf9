//! Signed notes of C2SP: a text, and signatures under names (LG-2).
//!
//! Never holds a private key: a signature is made outside and attached. Signatures of unknown keys are kept and
//! ignored, those of a known key must all hold. Of the signature types Ed25519 (0x01) is verified, and the timestamped
//! Ed25519 of witnesses (0x04, see [`cosignature`](crate::cosignature)).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{PUBLIC_KEY_LENGTH, SIGNATURE_LENGTH, Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// Bytes of a note at most: 32 signatures, those of post-quantum witnesses among them.
pub const NOTE_BYTES_MAX: usize = 256 * 1024;
/// Signatures of a note at most.
pub const SIGNATURES_MAX: usize = 32;
/// Bytes of one signature at most, its key id not counted.
pub const SIGNATURE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a key's name at most.
pub const NAME_BYTES_MAX: usize = 255;

/// The signature type of Ed25519 in a key id.
pub const ED25519: u8 = 0x01;
/// The signature type of a witness's timestamped Ed25519 in a key id.
pub const COSIGNATURE: u8 = 0x04;
/// What a signature line begins with.
const LINE_START: &str = "\u{2014} ";

/// The name of a key, which is the origin of a log too: no spaces, no plus, nothing invisible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// The first four bytes of a key's digest: it tells keys apart, it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

/// An Ed25519 public key, its name, and what its signatures are over: whoever holds it can verify notes. The types are
/// apart, so that no witness passes for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey<const TYPE: u8> {
    name: KeyName,
    id: KeyId,
    key: VerifyingKey,
}

/// The key of a log: it signs the text.
pub type NoteKey = VerifierKey<ED25519>;
/// The key of a witness: it signs the text and the time.
pub type WitnessKey = VerifierKey<COSIGNATURE>;

/// One signature line, of whatever type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    id: KeyId,
    bytes: Vec<u8>,
}

/// A text with its signatures. That it parsed says nothing about them: see [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// Why something is not a note, a name or a key, or is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A name that no key can have.
    #[error("not the name of a key: {why}")]
    Name {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A text that is not a verifier key.
    #[error("not a verifier key: {why}")]
    Key {
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than the limit.
    #[error("a note has at most {limit} {unit}, this one has more")]
    Limit {
        /// The limit.
        limit: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// A text that is not a signed note, or cannot be the text of one.
    #[error("not a signed note: {why}")]
    Form {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A signature line that cannot be read.
    #[error("signature line {number} is malformed: {why}")]
    Line {
        /// Number of the line among the signatures, from 1.
        number: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No signature of the key.
    #[error("the note carries no signature of {name} with key {id}")]
    Unsigned {
        /// The name of the key.
        name: KeyName,
        /// Its id.
        id: KeyId,
    },
    /// A signature of the key that does not hold.
    #[error("the signature of {name} with key {id} does not hold")]
    Signature {
        /// The name of the key.
        name: KeyName,
        /// Its id.
        id: KeyId,
    },
}

impl KeyName {
    /// Reads a name: 1 to [`NAME_BYTES_MAX`] bytes, no Unicode space, no control character, no plus.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let wrong = |why| Err(NoteError::Name { why });
        match text {
            "" => wrong("it is empty"),
            _ if text.len() > NAME_BYTES_MAX => wrong("it is longer than 255 bytes"),
            _ if text.contains('+') => wrong("it contains a plus"),
            _ if text.contains(char::is_whitespace) => wrong("it contains a space"),
            _ if text.contains(char::is_control) => wrong("it contains a control character"),
            _ => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl<const TYPE: u8> VerifierKey<TYPE> {
    /// The key with these 32 bytes (RFC 8032). A key of small order, under which anything verifies, is refused.
    pub fn new(name: KeyName, public_key: &[u8; PUBLIC_KEY_LENGTH]) -> Result<Self, NoteError> {
        let wrong = |why| NoteError::Key { why };
        let key = VerifyingKey::from_bytes(public_key).map_err(|_| wrong("its bytes are no Ed25519 key"))?;
        if key.is_weak() {
            return Err(wrong("it is of small order"));
        }
        let digest: [u8; 32] = Sha256::new()
            .chain_update(name.as_str())
            .chain_update([b'\n', TYPE])
            .chain_update(public_key)
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        Ok(Self { name, id: KeyId([a, b, c, d]), key })
    }

    /// Reads a verifier key, `name+id+base64(type ‖ key)`, as it is written.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let wrong = |why| NoteError::Key { why };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("it is not of the form name+id+key"));
        };
        // 33 bytes are 44 characters; nothing longer is decoded.
        if encoded.len() != 44 {
            return Err(wrong("its key is not 33 bytes in base64"));
        }
        let bytes = BASE64.decode(encoded).map_err(|_| wrong("its key is not base64"))?;
        let public_key = match bytes.split_first() {
            Some((found, public_key)) if *found == TYPE => public_key,
            _ if TYPE == COSIGNATURE => return Err(wrong("it is not of type 0x04, that of witnesses")),
            _ => return Err(wrong("it is not of type 0x01, Ed25519")),
        };
        let public_key = public_key.try_into().map_err(|_| wrong("its key is not 32 bytes"))?;
        let key = Self::new(KeyName::parse(name)?, public_key)?;
        if key.id.to_string() == id { Ok(key) } else { Err(wrong("its id is not that of its name and key")) }
    }

    /// The name of the key.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// SHA-256(name ‖ 0x0A ‖ type ‖ key), the first four bytes.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The public key itself.
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_LENGTH] {
        self.key.to_bytes()
    }

    /// Whether these bytes are this key's signature over the message (`verify_strict`: no malleability).
    pub(crate) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }

    /// Whether the signature says that it is of this key; it proves nothing.
    pub(crate) fn is_named_by(&self, signature: &NoteSignature) -> bool {
        signature.name == self.name && signature.id == self.id
    }

    /// The signature with these bytes, under this key's name; not checked.
    pub(crate) fn line(&self, bytes: Vec<u8>) -> NoteSignature {
        NoteSignature { name: self.name.clone(), id: self.id, bytes }
    }

    pub(crate) fn broken(&self) -> NoteError {
        NoteError::Signature { name: self.name.clone(), id: self.id }
    }

    pub(crate) fn unsigned(&self) -> NoteError {
        NoteError::Unsigned { name: self.name.clone(), id: self.id }
    }
}

impl<const TYPE: u8> fmt::Display for VerifierKey<TYPE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(1 + PUBLIC_KEY_LENGTH);
        bytes.push(TYPE);
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.id, BASE64.encode(bytes))
    }
}

impl<const TYPE: u8> FromStr for VerifierKey<TYPE> {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        Self::parse(text)
    }
}

impl NoteSignature {
    /// Reads one signature line without its newline: `— name base64(id ‖ signature)`.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        Self::parse_line(line, 1)
    }

    fn parse_line(line: &str, number: usize) -> Result<Self, NoteError> {
        let wrong = |why| NoteError::Line { number, why };
        let rest =
            line.strip_prefix(LINE_START).ok_or(wrong("it does not begin with an em dash and a space"))?;
        let (name, encoded) = rest.split_once(' ').ok_or(wrong("it has no signature"))?;
        let name = KeyName::parse(name).map_err(|_| wrong("its name is not the name of a key"))?;
        if encoded.len() > (4 + SIGNATURE_BYTES_MAX).div_ceil(3) * 4 {
            return Err(wrong("its signature is too long"));
        }
        let bytes = BASE64.decode(encoded).map_err(|_| wrong("its signature is not base64"))?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(wrong("its signature has no key id"))?;
        if signature.is_empty() {
            return Err(wrong("its signature is empty"));
        }
        Ok(Self { name, id: KeyId(*id), bytes: signature.to_vec() })
    }

    /// The name of the key that is said to have signed.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of that key.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The signature without the key id; what it means depends on the type of the key.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.id.0.to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(f, "{LINE_START}{} {}", self.name, BASE64.encode(bytes))
    }
}

impl Note {
    /// The note with this text, which ends in a newline and has no other control character; not signed yet.
    pub fn new(text: String) -> Result<Self, NoteError> {
        check_text(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::Form { why: "its text does not end in a newline" });
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a signed note. Total; `to_string` of the result gives the same bytes again.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let wrong = |why| NoteError::Form { why };
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Limit { limit: NOTE_BYTES_MAX, unit: "bytes" });
        }
        let message = core::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
        let (body, lines) =
            message.rsplit_once("\n\n").ok_or(wrong("no empty line before its signatures"))?;
        let lines = lines.strip_suffix('\n').ok_or(wrong("it does not end in a newline"))?;
        let mut note = Self::new(format!("{body}\n"))?;
        for (line, number) in lines.split('\n').zip(1..) {
            note.attach(NoteSignature::parse_line(line, number)?)?;
        }
        Ok(note)
    }

    /// What is signed, and nothing else is.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, in the order of the note, verified or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Checks that the key signed the text: at least one signature of it, and every one of them holds.
    pub fn verify(&self, key: &NoteKey) -> Result<(), NoteError> {
        let mut signed = false;
        for signature in self.signatures.iter().filter(|signature| key.is_named_by(signature)) {
            if !key.holds(self.text.as_bytes(), &signature.bytes) {
                return Err(key.broken());
            }
            signed = true;
        }
        if signed { Ok(()) } else { Err(key.unsigned()) }
    }

    /// Attaches a signature over [`Note::text`] that was made elsewhere, and checks it first.
    pub fn sign(&mut self, key: &NoteKey, signature: &[u8; SIGNATURE_LENGTH]) -> Result<(), NoteError> {
        if !key.holds(self.text.as_bytes(), signature) {
            return Err(key.broken());
        }
        self.attach(key.line(signature.to_vec()))
    }

    /// Attaches a signature as it is, such as a witness's; it is carried, not checked.
    pub fn attach(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(NoteError::Limit { limit: SIGNATURES_MAX, unit: "signatures" });
        }
        self.signatures.push(signature);
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if text.len() > NOTE_BYTES_MAX {
        return Err(NoteError::Limit { limit: NOTE_BYTES_MAX, unit: "bytes" });
    }
    if text.contains(|c: char| c < ' ' && c != '\n') {
        return Err(NoteError::Form { why: "it contains a control character" });
    }
    Ok(())
}
