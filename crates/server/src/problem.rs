//! Refusals as answers: every one is problem+json (RFC 9457) with a stable code, its rule and what to do next.
//!
//! Never tells more of an inner failure than that it happened; the log has the rest.

use std::fmt::Display;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plane::PlaneError;
use trust::IdentityError;
use trust::request::HeaderError;
use wire::{Problem, ProblemReason};

/// The media type of refusals.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// How long to wait at least when the store does not answer, in seconds.
const UNAVAILABLE_RETRY_SECONDS: u64 = 2;
/// How long to wait at least when the server has too much to do, in seconds.
const BUSY_RETRY_SECONDS: u64 = 1;
/// So many seconds whoever is sent away is spread over, that not all come again at once.
const SPREAD_SECONDS: u64 = 8;

/// The code of a refusal, beside the response, for whoever counts refusals.
#[derive(Clone, Debug)]
pub(crate) struct Code(pub(crate) String);

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) problem: Box<Problem>,
    retry_after_seconds: Option<u64>,
}

/// What a handler gives.
pub(crate) type Answer<T> = Result<Json<T>, Failure>;

impl Failure {
    /// A refusal of one reason.
    pub(crate) fn new(
        status: StatusCode,
        code: &str,
        rule: &str,
        detail: impl Into<String>,
        hint: &str,
    ) -> Self {
        let problem = Box::new(Problem::new(status.as_u16(), code, rule, detail, hint));
        Self { problem, retry_after_seconds: None }
    }

    pub(crate) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// At least so many seconds, and for everybody a different time.
    fn retry_spread(self, least: u64) -> Self {
        self.retry_after(
            least + trust::random().map_or(0, |[byte]: [u8; 1]| u64::from(byte) % SPREAD_SECONDS),
        )
    }

    pub(crate) fn bad_request(code: &str, detail: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "HS", detail, hint)
    }

    pub(crate) fn not_found(what: impl Display) -> Self {
        let hint = "check the id, the name or the path";
        Self::new(StatusCode::NOT_FOUND, "not-found", "HS", format!("there is no {what}"), hint)
    }

    pub(crate) fn method_not_allowed(method: impl Display, path: &str) -> Self {
        let hint = "see the Allow field for the methods of this path";
        let detail = format!("{path} does not take {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "HS", detail, hint)
    }

    pub(crate) fn too_large(limit: u64, what: &str) -> Self {
        let detail = format!("the body is longer than {limit} bytes, the limit of {what}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "HS-7", detail, "send less at a time")
    }

    pub(crate) fn rate_limited(whose: &str, per_minute: u32, seconds: u64) -> Self {
        let detail = format!("this {whose} may make {per_minute} requests a minute of this kind");
        let hint = "wait as Retry-After says, and keep to the interval the plane tells";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "HS-7", detail, hint).retry_after(seconds)
    }

    pub(crate) fn busy(what: &str) -> Self {
        let hint = "wait as Retry-After says and send it again, signed afresh";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "HS-7", what, hint)
            .retry_spread(BUSY_RETRY_SECONDS)
    }

    pub(crate) fn unavailable(why: &dyn Display) -> Self {
        tracing::error!(%why, "a request could not be served");
        let hint = "wait as Retry-After says and send it again, signed afresh";
        let detail = "the plane cannot answer now";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "HS", detail, hint)
            .retry_spread(UNAVAILABLE_RETRY_SECONDS)
    }

    /// Which key, and where it is kept, is the log's: whoever asks can do nothing about it but wait.
    fn key_unavailable(error: &proof::SignError) -> Self {
        tracing::error!(%error, "a key did not sign");
        let hint = "wait as Retry-After says and send it again, signed afresh; the plane's log says which key failed";
        let detail = "the plane cannot sign its answer now: the device that holds the key does not answer";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "key-unavailable", "AU-4", detail, hint)
            .retry_spread(UNAVAILABLE_RETRY_SECONDS)
    }

    pub(crate) fn unauthorised(code: &str, rule: &str, detail: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, rule, detail, hint)
    }

    pub(crate) fn forbidden(code: &str, rule: &str, detail: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, rule, detail, hint)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = Code(self.problem.code.clone());
        let mut response = (status, Json(self.problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(code);
        response
    }
}

impl From<PlaneError> for Failure {
    fn from(error: PlaneError) -> Self {
        match error {
            PlaneError::Refused(refusal) => {
                let detail = refusal.to_string();
                let reasons: Vec<_> = refusal.reasons.iter().map(ProblemReason::from).collect();
                let code = refusal.reasons.first().map_or("internal", governance::Reason::code);
                let problem = Box::new(Problem::of(refused_status(code).as_u16(), detail, reasons));
                Self { problem, retry_after_seconds: None }
            }
            PlaneError::Rejected(rejection) => Self::new(
                rejected_status(rejection.code),
                rejection.code,
                rejection.rule,
                rejection.detail,
                rejection.hint,
            ),
            PlaneError::NotFound(what) => Self::not_found(what),
            PlaneError::Sign(error) => Self::key_unavailable(&error),
            PlaneError::Unavailable(why) => Self::unavailable(&why),
        }
    }
}

/// The law refused: in conflict with how things stand, unless it is about who asks.
fn refused_status(code: &str) -> StatusCode {
    match code {
        "certificate-superseded" => StatusCode::UNAUTHORIZED,
        "instance-revoked" | "not-authorised" | "enrolment-expired" => StatusCode::FORBIDDEN,
        "unknown-release" => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    }
}

/// The request was not acceptable.
fn rejected_status(code: &str) -> StatusCode {
    match code {
        "nonce-replayed" => StatusCode::UNAUTHORIZED,
        "key-mismatch" | "enrolment-unknown" | "order-untrusted" | "keys-untrusted" | "release-untrusted" => {
            StatusCode::FORBIDDEN
        }
        "incoming-full" => StatusCode::INSUFFICIENT_STORAGE,
        "person-own" | "not-published-yet" | "enrolment-used" | "tier-mismatch" | "not-running"
        | "targets-refused" | "keys-lock-out" | "challenge-unknown" => StatusCode::CONFLICT,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Self::unauthorised(error.code(), "ID-1", error.to_string(), error.hint())
    }
}

impl From<HeaderError> for Failure {
    fn from(error: HeaderError) -> Self {
        let hint = match error.code() {
            "signature-missing" => {
                "sign every request: Content-Digest, Signature-Input and Signature (RFC 9421)"
            }
            "signature-malformed" => "sign in the profile of HS-6: label sig1, ed25519, tag fedplane",
            "digest-mismatch" => "compute Content-Digest over the body that is sent",
            _ => {
                "sign with the key of the certificate, over the method, authority and target that are called"
            }
        };
        Self::unauthorised(error.code(), "HS-6", error.to_string(), hint)
    }
}

/// For paths that there are not.
pub(crate) async fn no_such_path(uri: axum::http::Uri) -> Failure {
    Failure::not_found(format!("path {}", uri.path().chars().take(128).collect::<String>()))
}

/// For methods that a path does not take.
pub(crate) async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> Failure {
    Failure::method_not_allowed(method, uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::{SeedKey, Sign as _, SignError};

    #[test]
    fn hs_7_whoever_is_sent_away_comes_again_when_not_everybody_does() {
        let asked = |_| {
            let response = Failure::busy("as many as may").into_response();
            response.headers()[header::RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap()
        };
        let asked: std::collections::BTreeSet<u64> = (0..400).map(asked).collect();
        // Of 400 none is one of eight once in 10²² runs.
        assert!(asked.into_iter().eq(1..=8));
    }

    #[test]
    fn a_key_that_does_not_sign_is_told_without_saying_where_it_is() {
        let why = "pkcs11:token=fed: the token has not answered".to_owned();
        let error = SignError { key: SeedKey::new([1; 32]).key_id(), why };
        let failure = Failure::from(PlaneError::from(error));
        let text = serde_json::to_string(&failure.problem).unwrap();
        assert!(text.contains("key-unavailable") && !text.contains("pkcs11"), "{text}");
        let response = failure.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
    }
}
