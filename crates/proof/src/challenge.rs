//! The compliance challenge (HS-8): a nonce goes out, and the instance signs it together with its last version statement.
//!
//! Never judges what is said: whether the statement goes on from the record is for `governance` to decide.

use alloc::string::String;
use alloc::vec::Vec;

use governance::challenge::Said;
use governance::{InstanceId, Span, StatementHead, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encoding::url_encode;
use crate::jws::{Jws, JwsError, Typ};
use crate::key::{PublicKey, Sign};
use crate::statement::{StatementError, VersionStatement};

/// The shortest nonce, in characters of base64url.
pub const NONCE_MIN: usize = 16;
/// The longest.
pub const NONCE_MAX: usize = 128;
/// The longest answer, in bytes (HS-8).
pub const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// The longest checkpoint in an answer, in bytes: it carries the log's own signatures alone.
pub const CHECKPOINT_BYTES_MAX: usize = 4 * 1024;
/// Checkpoints in an answer, those of a split view not counted.
pub const CHECKPOINTS_MAX: usize = 2;

/// What is asked: the body of `POST /v1/challenge` at an instance's handshake endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// To be signed: fresh, so that no earlier answer fits.
    pub nonce: Nonce,
}

/// Characters nobody can foresee: 16 to 128 of base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nonce(String);

impl Nonce {
    /// The nonce over these random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(url_encode(&bytes))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Nonce> for String {
    fn from(nonce: Nonce) -> Self {
        nonce.0
    }
}

impl TryFrom<String> for Nonce {
    type Error = AnswerError;

    fn try_from(text: String) -> Result<Self, AnswerError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if plain && (NONCE_MIN..=NONCE_MAX).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(AnswerError::Nonce)
        }
    }
}

/// The payload of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The nonce of the challenge.
    pub nonce: Nonce,
    /// Who answers.
    pub instance: InstanceId,
    /// When, by the instance's clock.
    pub at: Timestamp,
    /// The last statement it signed, on record already or not; none before the first.
    pub statement: Option<Jws>,
    /// What it saw of the ledger (LG-2); absent where it saw none, or is of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerSeen>,
}

/// What an instance saw of the ledger: signed checkpoints as they are, each its own proof of who signed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerSeen {
    /// The newest that it proved to go on from those before, and one whose place no hash told yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<String>,
    /// Two that are not of one log, where it was shown such and its owner has not acknowledged it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_view: Option<[String; 2]>,
}

impl LedgerSeen {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.checkpoints.iter().chain(self.split_view.iter().flatten()).map(String::as_str)
    }

    /// Whether they are as few and as short as they may be.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.checkpoints.len() <= CHECKPOINTS_MAX
            && self.all().all(|checkpoint| checkpoint.len() <= CHECKPOINT_BYTES_MAX)
    }
}

/// Why an answer proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not signed by the instance, or no answer.
    #[error("the answer to the challenge: {0}")]
    Document(#[from] JwsError),
    /// Not a nonce.
    #[error("a challenge's nonce is {NONCE_MIN} to {NONCE_MAX} characters of base64url")]
    Nonce,
    /// To another challenge.
    #[error("the answer is to another challenge: its nonce is not the one that was asked")]
    OtherChallenge,
    /// Of another instance.
    #[error("instance {found} answers, and {expected} was asked")]
    OtherInstance {
        /// Who answers.
        found: InstanceId,
        /// Who was asked.
        expected: InstanceId,
    },
    /// Another time.
    #[error("the answer was made at {at}, and it is {now}: the clocks are more than {limit} apart")]
    Clock {
        /// When it says that it was made.
        at: Timestamp,
        /// When it came.
        now: Timestamp,
        /// How far apart they may be.
        limit: Span,
    },
    /// More of the ledger, or longer, than an instance sees.
    #[error(
        "an answer has at most {CHECKPOINTS_MAX} checkpoints, and a checkpoint {CHECKPOINT_BYTES_MAX} bytes"
    )]
    Checkpoint,
    /// What it shows is no statement of the instance.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

impl Answer {
    /// Signs an answer. One that would be too long to be read goes without what was seen of the ledger.
    ///
    /// # Errors
    /// When it has no JSON form, or the key does not sign.
    pub fn sign(&self, key: &dyn Sign) -> Result<Jws, JwsError> {
        match Jws::sign_json(Typ::Answer, self, key) {
            Ok(signed) if self.ledger.is_none() || signed.to_json().len() as u64 <= ANSWER_BYTES_MAX => {
                Ok(signed)
            }
            Ok(_) | Err(JwsError::TooLarge { .. }) if self.ledger.is_some() => {
                Jws::sign_json(Typ::Answer, &Self { ledger: None, ..self.clone() }, key)
            }
            signed => signed,
        }
    }

    /// Proves that one of the instance's keys answered this challenge: the one in force, or the one before while a renewal is
    /// under way (HS-2).
    ///
    /// # Errors
    /// When signature, nonce, instance or clock are not right.
    pub fn open(
        document: &Jws,
        (instance, keys): (InstanceId, &[PublicKey]),
        nonce: &Nonce,
        now: Timestamp,
        skew: Span,
    ) -> Result<Self, AnswerError> {
        let answer: Self = any(keys, |key| document.verify_one(Typ::Answer, key))?.parse_payload()?;
        if answer.nonce != *nonce {
            return Err(AnswerError::OtherChallenge);
        }
        if answer.instance != instance {
            return Err(AnswerError::OtherInstance { found: answer.instance, expected: instance });
        }
        if now.since(answer.at) > skew || answer.at.since(now) > skew {
            return Err(AnswerError::Clock { at: answer.at, now, limit: skew });
        }
        if answer.ledger.as_ref().is_some_and(|seen| !seen.is_bounded()) {
            return Err(AnswerError::Checkpoint);
        }
        Ok(answer)
    }

    /// What it says of the chain. A statement on record speaks for itself, whatever key the instance had then (HS-2); any
    /// other is signed by one of these keys.
    ///
    /// # Errors
    /// When what it shows is no whole statement of the instance.
    pub fn said(&self, recorded: &[StatementHead], keys: &[PublicKey]) -> Result<Option<Said>, AnswerError> {
        let Some(document) = &self.statement else { return Ok(None) };
        let digest = document.digest();
        if let Some(head) = recorded.iter().find(|head| head.digest == digest) {
            return Ok(Some(Said { head: *head, previous: None }));
        }
        let opened = any(keys, |key| VersionStatement::open(document, self.instance, key));
        let (statement, digest) = opened?;
        let head = StatementHead { sequence: statement.sequence, digest };
        Ok(Some(Said { head, previous: statement.previous }))
    }
}

/// What the first key opens that opens it; else why the last does not.
fn any<T, E: From<JwsError>>(keys: &[PublicKey], open: impl Fn(&PublicKey) -> Result<T, E>) -> Result<T, E> {
    let mut last = E::from(JwsError::Unsigned);
    for key in keys {
        match open(key) {
            Ok(opened) => return Ok(opened),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SeedKey;
    use alloc::string::ToString as _;
    use alloc::vec;
    use governance::{Digest, Version};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const SKEW: Span = Span::from_millis(300_000);

    fn id(number: u8) -> InstanceId {
        InstanceId::from_random([number; 16])
    }

    fn statement(instance: InstanceId, signer: u8) -> Jws {
        let statement = VersionStatement {
            instance,
            sequence: 1,
            previous: None,
            at: NOW,
            platform: Version::new(0, 1, 0),
            runtime: Version::new(0, 1, 0),
            layers: vec![],
            domains: vec![],
        };
        Jws::sign_json(Typ::Statement, &statement, &SeedKey::new([signer; 32])).unwrap()
    }

    fn answer() -> Answer {
        let statement = Some(statement(id(1), 1));
        Answer { nonce: Nonce::from_random([7; 16]), instance: id(1), at: NOW, statement, ledger: None }
    }

    fn open(answer: &Answer, signer: u8) -> Result<Answer, AnswerError> {
        let (key, signer) = (SeedKey::new([1; 32]), SeedKey::new([signer; 32]));
        let document = answer.sign(&signer).unwrap();
        Answer::open(&document, (id(1), &[*key.public_key()]), &Nonce::from_random([7; 16]), NOW, SKEW)
    }

    #[test]
    fn hs_8_an_answer_is_the_instances_own_to_this_very_challenge() {
        assert_eq!(open(&answer(), 1), Ok(answer()));
        assert!(matches!(open(&answer(), 2), Err(AnswerError::Document(_))));
        let other = Answer { nonce: Nonce::from_random([8; 16]), ..answer() };
        assert_eq!(open(&other, 1), Err(AnswerError::OtherChallenge));
        let other = Answer { instance: id(2), ..answer() };
        assert!(matches!(open(&other, 1), Err(AnswerError::OtherInstance { .. })));
        for at in [NOW + SKEW, NOW - SKEW] {
            assert!(open(&Answer { at, ..answer() }, 1).is_ok());
        }
        let instant = Span::from_millis(1);
        for at in [NOW + SKEW + instant, NOW - SKEW - instant] {
            assert!(matches!(open(&Answer { at, ..answer() }, 1), Err(AnswerError::Clock { .. })));
        }
        let (key, nonce) = (SeedKey::new([1; 32]), Nonce::from_random([7; 16]));
        let disguised = Jws::sign_json(Typ::Statement, &answer(), &key).unwrap();
        let opened = Answer::open(&disguised, (id(1), &[*key.public_key()]), &nonce, NOW, SKEW);
        assert!(matches!(opened, Err(AnswerError::Document(_))));
    }

    #[test]
    fn hs_8_lg_2_what_was_seen_of_the_ledger_is_optional_and_bounded() {
        let seen = |length: usize| LedgerSeen {
            checkpoints: vec!["c".repeat(length); CHECKPOINTS_MAX],
            split_view: Some(["a".into(), "b".into()]),
        };
        let with = |ledger| Answer { ledger: Some(ledger), ..answer() };
        let fits = with(seen(CHECKPOINT_BYTES_MAX));
        assert_eq!(fits.ledger.iter().flat_map(LedgerSeen::all).count(), 4);
        assert_eq!(open(&fits, 1), Ok(fits));
        assert_eq!(open(&with(seen(CHECKPOINT_BYTES_MAX + 1)), 1), Err(AnswerError::Checkpoint));
        let many = LedgerSeen { checkpoints: vec![String::new(); CHECKPOINTS_MAX + 1], split_view: None };
        assert_eq!(open(&with(many), 1), Err(AnswerError::Checkpoint));
        let long = with(seen(ANSWER_BYTES_MAX as usize));
        assert_eq!(open(&long, 1), Ok(answer()), "goes without, and is read");
        // As it was signed before there was such a member.
        let payload = serde_json::to_string(&answer()).unwrap();
        assert!(!payload.contains("ledger"), "{payload}");
        assert_eq!(serde_json::from_str::<Answer>(&payload).unwrap(), answer());
    }

    #[test]
    fn hs_8_the_statement_shown_is_on_record_or_signed_by_the_instance() {
        let key = |seed| *SeedKey::new([seed; 32]).public_key();
        let says = |statement: Option<Jws>| Answer { statement, ..answer() };
        let digest = statement(id(1), 1).digest();
        let head = StatementHead { sequence: 1, digest };
        assert_eq!(says(None).said(&[head], &[key(1)]), Ok(None));
        let said = Ok(Some(Said { head, previous: None }));
        assert_eq!(answer().said(&[], &[key(1)]), said);
        assert_eq!(answer().said(&[], &[key(2), key(1)]), said, "under the key before");
        assert_eq!(answer().said(&[head], &[key(2)]), said, "on record, whatever signed it");
        let other = StatementHead { digest: Digest::of(b"x"), ..head };
        assert!(matches!(answer().said(&[other], &[key(2)]), Err(AnswerError::Statement(_))));
        assert!(answer().said(&[], &[]).is_err());
        let foreign = says(Some(statement(id(2), 1)));
        assert!(matches!(foreign.said(&[], &[key(1)]), Err(AnswerError::Statement(_))));
        let none = says(Some(Jws::sign(Typ::Statement, b"{}".to_vec(), &SeedKey::new([1; 32])).unwrap()));
        assert!(matches!(none.said(&[], &[key(1)]), Err(AnswerError::Statement(_))));
    }

    #[test]
    fn hs_8_a_nonce_is_plain_text_of_some_length() {
        for (text, good) in [
            ("0123456789abcde", false),
            ("0123456789abcdef", true),
            ("0123456789abcde+", false),
            ("0123456789abcde=", false),
            ("0123456789-_cdef", true),
        ] {
            assert_eq!(Nonce::try_from(text.to_string()).is_ok(), good, "{text}");
        }
        assert!(Nonce::try_from("a".repeat(NONCE_MAX)).is_ok());
        assert!(Nonce::try_from("a".repeat(NONCE_MAX + 1)).is_err());
        assert_eq!(Nonce::from_random([0; 16]).as_str().len(), 22);
    }
}
