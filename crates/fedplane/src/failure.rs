//! Why a command was not carried out, in the words of the law: code, cause, rule, hint.
//!
//! Never guesses: what the plane refused is shown as the plane said it.

use std::fmt;
use std::path::Path;

use client::ClientError;
use plane::StoreError;
use proof::{JwsError, SignError};
use serde::Serialize;
use trust::tuf::PublishError;
use trust::{CaError, IdentityError, KeyFileError, RandomError, SignerError};
use wire::ProblemReason;

use crate::secrets::without_pins;

/// How TLS begins when it does not believe a server.
const NOT_BELIEVED: &str = "invalid peer certificate";
/// What TLS says then of a certificate that the root CA did not issue.
const OTHER_ISSUER: [&str; 3] = ["UnknownIssuer", "Untrusted", "BadSignature"];

/// A command refused or failed: every reason, each with its code, rule and hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Why; never empty.
    pub reasons: Vec<ProblemReason>,
    /// Whether the command line itself is at fault.
    #[serde(skip)]
    usage: bool,
}

impl Failure {
    /// A failure of one reason. What it says is shown without the PIN that a name of a key may hold by mistake.
    #[must_use]
    pub fn new(code: &str, rule: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::of(vec![ProblemReason {
            code: code.to_owned(),
            rule: rule.to_owned(),
            detail: without_pins(&detail.into()).into_owned(),
            hint: without_pins(&hint.into()).into_owned(),
        }])
    }

    /// A failure of several reasons.
    #[must_use]
    pub const fn of(reasons: Vec<ProblemReason>) -> Self {
        Self { reasons, usage: false }
    }

    /// A command line that says too little, too much, or two things at once. Exit code 2.
    #[must_use]
    pub fn usage(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { usage: true, ..Self::new("usage", "CLI", detail, hint) }
    }

    /// A file that cannot be read or written.
    #[must_use]
    pub fn file(path: &Path, what: &str, error: &dyn fmt::Display) -> Self {
        Self::new(
            "file",
            "CLI",
            format!("{}: cannot {what}: {error}", path.display()),
            "check the name, and who may read and write there",
        )
    }

    /// A file that holds something else than it should.
    #[must_use]
    pub fn malformed(path: &Path, error: &dyn fmt::Display, hint: &str) -> Self {
        Self::new("malformed", "CLI", format!("{}: {}", path.display(), error.to_string().trim_end()), hint)
    }

    /// A signed document that was not signed as it must be.
    #[must_use]
    pub fn untrusted(what: &str, rule: &str, error: &JwsError) -> Self {
        if let JwsError::Sign(error) = error {
            return error.clone().into();
        }
        Self::new(
            "untrusted",
            rule,
            format!("{what}: {error}"),
            "check the root keys, and whose keys signed it",
        )
    }

    /// What happened, of every reason, on one line.
    #[must_use]
    pub fn reasons_in_short(&self) -> String {
        self.reasons.iter().map(|reason| reason.detail.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// The first reason's stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        self.reasons.first().map_or("internal", |reason| reason.code.as_str())
    }

    /// What the process ends with: 2 when the command line is at fault, else 1.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.reasons.iter().enumerate() {
            let ProblemReason { code, rule, detail, hint } = reason;
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}error: {detail}\n  code: {code}\n  rule: {rule}")?;
            if !hint.is_empty() {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let hint = match &error {
            KeyFileError::Generate | KeyFileError::Io { .. } => {
                "try again; check the disk and its access rights"
            }
            KeyFileError::NotEd25519 | KeyFileError::Malformed(_) => {
                "name a key file that `fedplane init` made"
            }
            KeyFileError::Exists(_) => "choose another place",
            KeyFileError::Missing(_) => "bring the medium that the key was taken to, and name its file",
            KeyFileError::Readable { .. } => "chmod 600 FILE",
            KeyFileError::Locked(_) => {
                "name the file of its passphrase with --passphrase-file, or run it at a terminal, where it is asked for"
            }
            KeyFileError::Passphrase(_) => "look at the passphrase, and at which key it belongs to",
            KeyFileError::Encrypted { .. } => "change how it is encrypted, as it says",
            KeyFileError::NotASecret(_) => "write the passphrase or PIN into it, on one line",
        };
        Self::new("key-file", "AU-2", error.to_string(), hint)
    }
}

impl From<SignerError> for Failure {
    fn from(error: SignerError) -> Self {
        let detail = error.to_string();
        match error {
            SignerError::File(error) => error.into(),
            SignerError::Uri(_) => Self::usage(detail, "write it as RFC 7512 has it"),
            SignerError::Token(_) => Self::new(
                "token",
                "AU-2",
                detail,
                "see that the token is plugged in, and that the URI names it, its module and its PIN",
            ),
        }
    }
}

impl From<CaError> for Failure {
    fn from(error: CaError) -> Self {
        let hint = match &error {
            CaError::Sign(error) => return error.clone().into(),
            CaError::Name(_) => "use DNS names and IP addresses only",
            _ => "check the certificate and the key it belongs to",
        };
        Self::new("certificate", "ID-1", error.to_string(), hint)
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Self::new(error.code(), "ID-1", error.to_string(), error.hint())
    }
}

impl From<RandomError> for Failure {
    fn from(error: RandomError) -> Self {
        Self::new("random", "AU-2", error.to_string(), "try again on a healthy system")
    }
}

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        let hint = "see that the device that holds the key is there and open, and try again";
        Self::new("key-unavailable", "AU-2", error.to_string(), hint)
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        if let Some(error) = error.unsigned() {
            return error.clone().into();
        }
        Self::new(error.code(), "RL-3", error.to_string(), "see which keys the root of the repository names")
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(
            "store",
            "LG-1",
            error.to_string(),
            "check the disk, and that the file is this federation's",
        )
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        if let ClientError::Unreachable { url, why } = &error
            && why.contains(NOT_BELIEVED)
        {
            return not_believed(url, why);
        }
        let detail = error.to_string();
        let (code, hint) = match error {
            ClientError::Refused { problem, .. } if !problem.reasons.is_empty() => {
                return Self::of(problem.reasons);
            }
            ClientError::Refused { problem, .. } => {
                return Self::new(&problem.code, "", problem.detail.clone(), "");
            }
            ClientError::Setup(_) => ("client-setup", "check the address: https://HOST:8443"),
            ClientError::File { .. } => ("file", "check its path and whether it can be read"),
            ClientError::Unsigned(_) => ("unsigned", "check the operator's key"),
            ClientError::Unreachable { .. } => (
                "unreachable",
                "is `fedplane serve` running there? From its own machine: --url https://localhost:8443",
            ),
            ClientError::Answer { .. } => {
                ("answer", "is this the plane's own listener (8443), of this version?")
            }
            ClientError::TooLong { .. } => ("answer-too-long", "ask for less at a time"),
        };
        Self::new(code, "CLI", detail, hint)
    }
}

/// A server that answers, and is not the one it should be.
fn not_believed(url: &str, why: &str) -> Failure {
    if OTHER_ISSUER.iter().any(|issuer| why.contains(issuer)) {
        let detail = format!("{url}: the server's certificate is of another federation, not of this one");
        let hint = "check that the address (--url, --plane) and the folder (--federation) belong together";
        return Failure::new("server-of-another-federation", "ID-1", detail, hint);
    }
    let detail = format!("{url}: the server's certificate is refused: {why}");
    let hint = "use an address that it carries (`init --host`), and see whether it has run out";
    Failure::new("server-refused", "ID-1", detail, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_code_cause_rule_and_hint() {
        let failure = Failure::new("too-few", "FO-1", "1 of 2", "sign again");
        assert_eq!(failure.to_string(), "error: 1 of 2\n  code: too-few\n  rule: FO-1\n  hint: sign again");
        assert_eq!((failure.exit_code(), Failure::usage("a", "b").exit_code()), (1, 2));
    }

    #[test]
    fn a_server_of_another_federation_is_called_so() {
        for (why, code) in [
            ("client error (Connect): tcp connect error: Connection refused", "unreachable"),
            ("invalid peer certificate: UnknownIssuer", "server-of-another-federation"),
            (
                "invalid peer certificate: Other(OtherError(Untrusted(\"InvalidSignatureForPublicKey\")))",
                "server-of-another-federation",
            ),
            ("invalid peer certificate: Expired", "server-refused"),
        ] {
            let error = ClientError::Unreachable { url: "https://a:8443".into(), why: why.into() };
            assert_eq!(Failure::from(error).code(), code, "{why}");
        }
    }

    #[test]
    fn a_refusal_is_shown_as_the_plane_said_it() {
        let problem =
            wire::Problem::new(409, "skips-major", "RL-6", "0.2.0 lies between", "install it first");
        let refused = ClientError::Refused { problem: Box::new(problem), retry_after_seconds: None };
        let failure = Failure::from(refused);
        assert_eq!((failure.code(), failure.reasons.len()), ("skips-major", 1));
        assert!(failure.to_string().contains("install it first"));
    }
}
