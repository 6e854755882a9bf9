//! The gate before every call: who asks, for what, how often, and whether he signed it (HS-6, HS-7, LC-19).
//!
//! Decides nothing about instances: it lets a call through as a [`Call`] whose every field was proved, or refuses it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::RequestExt as _;
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governance::{Digest, InstanceId, Person, PersonRole, ProviderId, Span, Timestamp};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use listener::{Connection, counted};
use plane::instances::SignedCall;
use plane::ports::Nonce;
use proof::request::Algorithm;
use proof::{KeyId, RequestError};
use serde::de::DeserializeOwned;
use trust::Peer;
use trust::request::{HeaderError, SignedHead, Target};

use crate::app::App;
use crate::nonces::Spent;
use crate::problem::Failure;
use crate::settings::duration;
use crate::table::{self, BodyKind, Budget, Role, Row};

/// A call that was let through: who asks is proved, and so is what.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    peer: Arc<Peer>,
    head: SignedHead,
    body: Vec<u8>,
    digest: Digest,
    nonce: [u8; 16],
    nonce_expires: Timestamp,
    params: Vec<(String, String)>,
    query: String,
}

impl Call {
    /// The key of the peer.
    pub(crate) fn key(&self) -> &proof::PublicKey {
        self.peer.key()
    }

    /// What the signature says of the body.
    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    /// The person who asks.
    pub(crate) fn person(&self) -> Result<&Person, Failure> {
        match &*self.peer {
            Peer::Person { person, .. } => Ok(person),
            _ => Err(not_authorised(Role::People(PersonRole::ALL), &self.peer)),
        }
    }

    /// The serial number of the certificate that the person showed.
    pub(crate) fn serial(&self) -> &str {
        match &*self.peer {
            Peer::Person { serial, .. } | Peer::Instance { serial, .. } => serial,
            Peer::SelfSigned { .. } => "",
        }
    }

    /// The person who asks, with his certificate's serial number and its last instant.
    pub(crate) fn certified(&self) -> Result<(&Person, &str, Timestamp), Failure> {
        match &*self.peer {
            Peer::Person { person, serial, not_after, .. } => Ok((person, serial, *not_after)),
            _ => Err(not_authorised(Role::People(PersonRole::ALL), &self.peer)),
        }
    }

    /// That this provider is the caller's own, where the caller is a provider's: he sees and touches no other's (ID-3).
    pub(crate) fn owns(&self, provider: Option<&ProviderId>) -> Result<(), Failure> {
        let person = self.person()?;
        match person.provider() {
            Some(own) if !person.has(provider) => Err(Failure::forbidden(
                "not-authorised",
                "ID-3",
                format!("you are of provider {own}, and see and touch its own instances alone"),
                format!("name the provider {own}").as_str(),
            )),
            _ => Ok(()),
        }
    }

    /// The instance that asks.
    pub(crate) fn instance(&self) -> Result<InstanceId, Failure> {
        match &*self.peer {
            Peer::Instance { id, .. } => Ok(*id),
            _ => Err(not_authorised(Role::Instance, &self.peer)),
        }
    }

    /// The call as the plane keeps it, of the instance that asks.
    pub(crate) fn signed(&self) -> Result<SignedCall, Failure> {
        match &*self.peer {
            Peer::Instance { id, .. } => {
                let unfit = || HeaderError::Request(RequestError::Algorithm(Algorithm::HmacSha256));
                let request = self.head.clone().with_body(self.body.clone());
                let request = Box::new(request.ok_or_else(unfit)?);
                let key = *self.key();
                let (nonce, expires) = (nonce_text(&self.nonce), self.nonce_expires);
                Ok(SignedCall {
                    id: *id,
                    key,
                    request,
                    nonce: Nonce { key: key.id().to_string(), nonce, expires },
                })
            }
            _ => Err(not_authorised(Role::Instance, &self.peer)),
        }
    }

    /// A parameter of the path.
    pub(crate) fn param<T: std::str::FromStr>(&self, name: &str) -> Result<T, Failure>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        text.parse().map_err(|error: T::Err| {
            Failure::bad_request("path-malformed", error.to_string(), "write the path as the API has it")
        })
    }

    /// The query, of which every key must be known.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let uri = axum::http::Uri::builder().path_and_query(format!("/?{}", self.query)).build();
        let uri = uri.map_err(|error| {
            Failure::bad_request("query-malformed", error.to_string(), "write the query as the API has it")
        })?;
        axum::extract::Query::<T>::try_from_uri(&uri).map(|query| query.0).map_err(|error| {
            Failure::bad_request("query-malformed", error.body_text(), "write the query as the API has it")
        })
    }

    /// The body, of which every key must be known.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // Read once more, for the place: what is well-formed does not pay for it.
            let mut reader = serde_json::Deserializer::from_slice(&self.body);
            let detail = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
                Ok(_) => error.to_string(),
                Err(error) => format!("at `{}`: {}", error.path(), error.inner()),
            };
            let hint = "send JSON as the API has it; every key must be known";
            Failure::bad_request("json-malformed", detail, hint)
        })
    }

    /// The same; an empty body is one that says nothing.
    pub(crate) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Failure> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// That there is nothing in the body but an empty object, or nothing.
    pub(crate) fn nothing(&self) -> Result<(), Failure> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        if self.body.is_empty() { Ok(()) } else { self.json::<Nothing>().map(|_| ()) }
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.remove().ok_or_else(|| Failure::unavailable(&"a call came past the gate"))
    }
}

/// What only a forger, or whoever plays a request again, is refused for (HS-6).
const BYPASSES: &[&str] = &["signature-invalid", "digest-mismatch", "nonce-replayed"];

/// Lets a call through, or answers why not.
pub(crate) async fn gate(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let row = path.as_ref().and_then(|path| table::find(request.method(), path.as_str()));
    if row.is_none()
        && let Err(failure) = take_nowhere(&app, &request)
    {
        return failure.into_response();
    }
    let Some(path) = path else {
        // No such path: the router's own answer says so.
        return next.run(request).await;
    };
    let Some(row) = row else {
        let allowed: Vec<&str> = table::TABLE
            .iter()
            .filter(|row| row.path == path.as_str())
            .map(|row| row.method.as_str())
            .collect();
        let mut response =
            Failure::method_not_allowed(request.method(), request.uri().path()).into_response();
        if let Ok(value) = allowed.join(", ").parse() {
            response.headers_mut().insert(header::ALLOW, value);
        }
        return response;
    };
    let request = match arrive(&app, row, request).await {
        Ok(request) => request,
        Err(failure) => return failure.into_response(),
    };
    // Only now, with the whole body here: nobody holds a place by being slow.
    match app.places.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => Failure::busy("the server works on as many requests as it can").into_response(),
    }
}

/// Lets a request in, its body included, while it holds a place of its role's own.
async fn arrive(app: &App, row: &'static Row, request: Request) -> Result<Request, Failure> {
    let connection = connection(&request)?.clone();
    let place = app.arrivals.take(row.role, connection.peer.ip());
    let _place = place.ok_or_else(|| Failure::busy("as many requests of this kind arrive as may at once"))?;
    admit(app, row, &connection, request).await
}

async fn admit(
    app: &App,
    row: &'static Row,
    connection: &Connection,
    mut request: Request,
) -> Result<Request, Failure> {
    let now = app.plane.now();
    take_address(app, row.budget, connection.peer.ip(), now)?;
    let peer = app.peers.identify(connection, now)?;
    let params: RawPathParams =
        request.extract_parts().await.map_err(|_| Failure::not_found("such path: it is not UTF-8"))?;
    let params: Vec<(String, String)> =
        params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    check_role(row, &peer, &params)?;
    check_person(app, &peer, &params).await?;
    take_peer(app, row, &peer, now)?;

    let proved = prove(app, row, connection, &peer, request, now).await;
    if let Err(failure) = &proved {
        note_bypass(app, &peer, failure, now).await;
    }
    let Proved { mut request, head, body, digest, nonce, nonce_expires } = proved?;
    let query = request.uri().query().unwrap_or_default().to_owned();
    let call = Call { peer, head, body, digest, nonce, nonce_expires, params, query };
    request.extensions_mut().insert(call);
    Ok(request)
}

/// A request that is its peer's, whole and fresh (HS-6).
struct Proved {
    request: Request,
    head: SignedHead,
    body: Vec<u8>,
    digest: Digest,
    nonce: [u8; 16],
    nonce_expires: Timestamp,
}

async fn prove(
    app: &App,
    row: &'static Row,
    connection: &Connection,
    peer: &Peer,
    request: Request,
    now: Timestamp,
) -> Result<Proved, Failure> {
    let target = Target::received(request.method(), request.uri(), request.headers())?;
    check_authority(app, &target)?;
    let head = SignedHead::read(&target, request.headers())?;
    // What changes nothing needs no proof for others: the channel's key is enough, and costs a thirtieth (HS-6).
    let channel = connection.channel.as_ref().filter(|_| row.is_quiet());
    let facts = match (head.algorithm(), channel) {
        (Algorithm::HmacSha256, Some(channel)) => head.verify_on_channel(peer.key(), channel.key())?,
        _ => head.verify(peer.key())?,
    };
    let (created, nonce, digest) = (facts.created, facts.nonce, facts.digest);
    let skew = app.plane.constitution(|law| law.request_clock_skew);
    check_clock(created, skew, app.plane.wall())?;
    if row.role.is_instance() {
        check_record(app, row, peer, now).await?;
    }
    let (request, body) = match row.body {
        BodyKind::Json { bytes_max } => {
            let (parts, body) = request.into_parts();
            let body = read_json(app, &parts.headers, body, bytes_max).await?;
            if Digest::of(&body) != digest {
                return Err(HeaderError::Request(RequestError::Digest).into());
            }
            (Request::from_parts(parts, Body::empty()), body)
        }
        BodyKind::File { bytes_max } => {
            check_media(request.headers(), "application/octet-stream")?;
            check_length(request.headers(), bytes_max, "a file")?;
            (request, Vec::new())
        }
    };
    let (key, life) = (peer.key().id(), skew.times(2));
    match (head.algorithm(), channel) {
        (Algorithm::HmacSha256, Some(channel)) => {
            if !channel.spend(u128::from_be_bytes(nonce)) {
                return Err(plane::PlaneError::from(plane::StoreError::NonceSpent).into());
            }
        }
        _ => spend(app, row, key, &nonce, (life, now))?,
    }
    Ok(Proved { request, head, body, digest, nonce, nonce_expires: created + life })
}

fn spend(
    app: &App,
    row: &Row,
    key: KeyId,
    nonce: &[u8; 16],
    (life, now): (Span, Timestamp),
) -> Result<(), Failure> {
    let stranger = row.role == Role::Unregistered;
    let nonces = if stranger { &app.nonces_strangers } else { &app.nonces };
    match nonces.spend(key, nonce, life, now) {
        Spent::Fresh => Ok(()),
        // To register again, with the same key and secret, is no second registration (HS-1).
        Spent::Full if stranger => Ok(()),
        Spent::Replayed => Err(plane::PlaneError::from(plane::StoreError::NonceSpent).into()),
        Spent::Full => Err(Failure::busy("the memory for nonces is full")),
    }
}

/// Counts what only a forger or a replay does; again and again, it goes before the Founder (CO-13).
async fn note_bypass(app: &App, peer: &Peer, failure: &Failure, now: Timestamp) {
    let Peer::Instance { id, .. } = peer else { return };
    let code = failure.problem.code.as_str();
    if !BYPASSES.contains(&code) || !app.bypasses.is_enough(*id, now) {
        return;
    }
    let facts = format!("requests refused again and again, the last with {code}");
    if let Err(error) = app.plane.bypass(*id, facts).await {
        tracing::warn!(instance = %id, %error, "an attempted bypass could not be put on record");
    }
}

fn connection(request: &Request) -> Result<&Connection, Failure> {
    let found = request.extensions().get::<Connection>();
    found.ok_or_else(|| Failure::unavailable(&"a request without a connection"))
}

/// To ask for what there is not is no way around the limits (HS-7).
fn take_nowhere(app: &App, request: &Request) -> Result<(), Failure> {
    take_address(app, Budget::Nowhere, connection(request)?.peer.ip(), app.plane.now())
}

pub(crate) fn take_address(
    app: &App,
    budget: Budget,
    address: IpAddr,
    now: Timestamp,
) -> Result<(), Failure> {
    let per_minute = app.plane.constitution(|law| law.rate_address);
    app.addresses
        .take((budget, counted(address)), per_minute, now)
        .map_err(|seconds| Failure::rate_limited("address", per_minute, seconds))
}

/// By key, not by id: a certificate that was superseded does not use up the budget of the one in force.
fn take_peer(app: &App, row: &Row, peer: &Peer, now: Timestamp) -> Result<(), Failure> {
    if !matches!(peer, Peer::Instance { .. }) {
        return Ok(());
    }
    let per_minute = app.plane.constitution(|law| law.rate_instance);
    app.instances
        .take((row.budget, peer.key().id()), per_minute, now)
        .map_err(|seconds| Failure::rate_limited("instance", per_minute, seconds))
}

fn not_authorised(role: Role, peer: &Peer) -> Failure {
    let who = match peer {
        Peer::Instance { id, .. } => format!("instance {id}"),
        Peer::Person { person, .. } => person.to_string(),
        Peer::SelfSigned { .. } => {
            return Failure::unauthorised(
                "not-registered",
                "HS-1",
                format!("the certificate is self-signed; this call is for {}", role.shown()),
                "register first, and use the certificate that this federation issued",
            );
        }
    };
    Failure::forbidden(
        "not-authorised",
        "AU-1",
        format!("this call is for {}, not for {who}", role.shown()),
        "use the certificate of whoever may do this",
    )
}

fn check_role(row: &Row, peer: &Peer, params: &[(String, String)]) -> Result<(), Failure> {
    let named =
        || params.iter().find(|(key, _)| key == "id").and_then(|(_, id)| id.parse::<InstanceId>().ok());
    let may = match (row.role, peer) {
        (Role::Unregistered, Peer::SelfSigned { .. }) => true,
        (Role::People(roles) | Role::InstanceOr(roles), Peer::Person { person, .. }) => {
            roles.contains(&person.role())
        }
        (
            Role::Instance | Role::InstanceRenewing | Role::InstanceRevokedToo | Role::InstanceOr(_),
            Peer::Instance { id, .. },
        ) => named() == Some(*id),
        _ => false,
    };
    if may { Ok(()) } else { Err(not_authorised(row.role, peer)) }
}

/// What is on record about a person: that his certificate was not taken back (AU-2), and of a provider's that the instance
/// he names is his own (ID-3): of others he is not even told that they are there.
async fn check_person(app: &App, peer: &Peer, params: &[(String, String)]) -> Result<(), Failure> {
    let Peer::Person { person, serial, .. } = peer else { return Ok(()) };
    if app.plane.is_revoked(serial) {
        return Err(Failure::unauthorised(
            "certificate-revoked",
            "AU-2",
            format!("the certificate of {person} was taken back"),
            "use another certificate; whoever holds the root CA issues one",
        ));
    }
    let Some((_, id)) = params.iter().find(|(key, _)| key == "id") else { return Ok(()) };
    check_own(app, person, id).await
}

/// That the instance is the person's own to see, where he is a provider's (ID-3).
pub(crate) async fn check_own(app: &App, person: &Person, id: &str) -> Result<(), Failure> {
    if person.provider().is_none() {
        return Ok(());
    }
    let nobodys = || plane::PlaneError::NotFound(format!("instance {id}"));
    let instance = app.plane.instance(id.parse().map_err(|_| nobodys())?).await?;
    match instance.is_some_and(|instance| person.has(instance.provider.as_ref())) {
        true => Ok(()),
        false => Err(nobodys().into()),
    }
}

fn check_authority(app: &App, target: &Target) -> Result<(), Failure> {
    if app.authorities.contains(&target.authority) {
        return Ok(());
    }
    let detail = format!("this server is not {}", target.authority.chars().take(128).collect::<String>());
    let hint =
        "call the server by a name it serves; its operator lists them in listen.names and listen.authorities";
    Err(Failure::new(axum::http::StatusCode::MISDIRECTED_REQUEST, "authority-unknown", "HS-6", detail, hint))
}

fn check_clock(created: Timestamp, skew: Span, now: Timestamp) -> Result<(), Failure> {
    // Whole seconds are signed: the part of the second that was cut off is nobody's fault.
    let early = created.since(now);
    let late = Timestamp::from_millis(now.as_seconds() * 1_000).since(created);
    if early <= skew && late <= skew {
        return Ok(());
    }
    Err(Failure::unauthorised(
        "clock-skew",
        "HS-6",
        format!("the request was signed at {created}, here it is {now}: {skew} at most may lie between"),
        "set the clock and sign afresh",
    ))
}

/// What is on record about the instance: the key in force, and whether it is revoked (HS-1, HS-2, LC-19).
async fn check_record(app: &App, row: &Row, peer: &Peer, now: Timestamp) -> Result<(), Failure> {
    let Peer::Instance { id, key, not_after, expired, .. } = peer else { return Ok(()) };
    let shown = governance::InstanceKey::from_bytes(*key.as_bytes());
    let instance = app.plane.identity(*id, shown).await?.ok_or_else(|| {
        let hint = "the record of this plane may have been lost: ask its operator, then register anew";
        Failure::unauthorised(
            "instance-unknown",
            "ID-1",
            format!("there is no instance {id} on record"),
            hint,
        )
    })?;
    let is = |known: governance::InstanceKey| known.as_bytes() == key.as_bytes();
    // The key before may repeat the renewal away from it, should its answer have been lost: the law sees to the rest.
    let repeats = row.role == Role::InstanceRenewing && instance.previous_key.is_some_and(is);
    if !is(instance.key) && !repeats {
        return Err(Failure::unauthorised(
            "certificate-superseded",
            "HS-1",
            format!("instance {id} has another key by now"),
            "use the newest certificate; if you have none, the instance was enrolled afresh elsewhere",
        ));
    }
    if instance.state == governance::State::Revoked && row.role != Role::InstanceRevokedToo {
        return Err(plane::PlaneError::from(governance::Refusal::from(
            governance::Reason::InstanceRevoked { since: instance.since },
        ))
        .into());
    }
    let grace = app.plane.constitution(|law| law.identity_renewal_grace);
    let has_grace = matches!(row.role, Role::InstanceRenewing | Role::InstanceRevokedToo);
    let within_grace = now <= *not_after + grace && has_grace;
    if *expired && !within_grace {
        return Err(Failure::unauthorised(
            "certificate-expired",
            "HS-2",
            format!("the certificate ran out at {not_after}"),
            "renew it within the grace, or ask an operator for a new enrolment",
        ));
    }
    Ok(())
}

fn check_media(headers: &HeaderMap, wanted: &str) -> Result<(), Failure> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let detail = format!("the body is said to be `{}`", found.chars().take(64).collect::<String>());
    let hint = format!("send it as {wanted}");
    let status = axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Failure::new(status, "media-type-unsupported", "HS", detail, &hint))
}

fn check_length(headers: &HeaderMap, bytes_max: u64, what: &str) -> Result<u64, Failure> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let length = length.unwrap_or(0);
    if length > bytes_max { Err(Failure::too_large(bytes_max, what)) } else { Ok(length) }
}

/// Reads a JSON body whole, up to its limit, in bounded time.
async fn read_json(app: &App, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let limit = bytes_max as u64;
    check_length(headers, limit, "this call")?;
    let read = Limited::new(body, bytes_max).collect();
    let read = tokio::time::timeout(duration(app.settings.limits.body_within), read).await.map_err(|_| {
        let detail = format!("the body did not arrive within {}", app.settings.limits.body_within);
        let status = axum::http::StatusCode::REQUEST_TIMEOUT;
        Failure::new(status, "body-too-slow", "HS-7", detail, "send it again, faster")
    })?;
    let bytes = read.map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            Failure::too_large(limit, "this call")
        } else {
            Failure::bad_request("body-cut", "the body broke off", "send it again, signed afresh")
        }
    })?;
    let bytes = bytes.to_bytes().to_vec();
    if !bytes.is_empty() {
        check_media(headers, "application/json")?;
    }
    Ok(bytes)
}

fn nonce_text(nonce: &[u8; 16]) -> String {
    nonce.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hs_6_the_clock_may_be_off_by_the_skew_and_no_more() {
        let skew = Span::from_millis(5_000);
        let now = Timestamp::from_millis(1_000_000_900);
        for (created, good) in [
            (1_000_000_000, true),
            (999_995_000, true),
            (999_994_000, false),
            (1_000_005_000, true),
            (1_000_006_000, false),
        ] {
            assert_eq!(check_clock(Timestamp::from_millis(created), skew, now).is_ok(), good, "{created}");
        }
    }
}
