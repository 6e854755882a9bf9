//! Signed documents and signed requests.

use governance::entitlement::TokenStatus;
use governance::{Span, Timestamp};
use proof::challenge::{LedgerSeen, Nonce};
use proof::key::KEY_SET_MAX;
use proof::order::OrderAction;
use proof::token::TokenKeys;
use proof::{
    Answer, Directive, Jws, KeySet, KeysDocument, Order, Purpose, RequestFacts, RequestHead, Sign as _,
    SignedRequest, Typ, VersionStatement,
};

use crate::json;
use crate::seeds::{self, INSTANCE, NOW_MILLIS, first, founder, key};

/// A signed document: read, written, read; verification gives an answer, and only the payload it read.
pub fn jws(data: &[u8]) -> bool {
    let Ok(document) = Jws::parse(data) else { return false };
    let written = document.to_json();
    assert_eq!(Jws::parse(written.as_bytes()).as_ref(), Ok(&document), "read again, it says something else");
    for typ in Typ::ALL {
        if let Ok(verified) = document.verify(*typ, &founder()) {
            assert_eq!(verified.payload(), document.payload_unverified());
            assert!(!verified.signers().is_empty(), "verified, and nobody signed");
        }
    }
    let mut merged = document.clone();
    let _ = merged.merge(&document);
    assert_eq!(merged.digest(), document.digest());
    // The payload of one found in the wild may be any of these.
    let payload = document.payload_unverified();
    for target in [keys_document, statement, answer, directive, order] {
        target(payload);
    }
    true
}

/// A token, a status list or a set of keys, as whoever verifies tokens gets them.
pub fn token(data: &[u8]) -> bool {
    let keys = TokenKeys::parse(data);
    if let Ok(keys) = &keys {
        let again = TokenKeys::parse(keys.to_json().as_bytes());
        assert_eq!(again.as_ref(), Ok(keys), "read again, they are others");
    }
    let Ok(text) = std::str::from_utf8(data) else { return keys.is_ok() };
    let signers = TokenKeys::parse(&first(seeds::token())).expect("the first seed is the keys");
    let now = Timestamp::from_millis(NOW_MILLIS);
    let Ok(document) = Jws::parse_compact(text) else { return keys.is_ok() };
    let again = document.to_compact().expect("it has one signature");
    assert_eq!(Jws::parse_compact(&again).as_ref(), Ok(&document), "read again, it says something else");
    for typ in [Typ::Entitlement, Typ::Activation] {
        let opened = signers.open::<serde_json::Map<String, serde_json::Value>>(text, typ, None, now);
        if let Ok(claims) = opened {
            assert_eq!(document.typ_unverified(), Some(typ), "opened as another type");
            assert!(claims.exp * 1_000 > NOW_MILLIS, "opened, though it has ended");
        }
    }
    // The list by the name that it gives itself, and by any other.
    if let Ok(claims) = document.parse_unverified::<serde_json::Value>() {
        let uri = claims.get("sub").and_then(|sub| sub.as_str()).unwrap_or_default();
        if let Ok(list) = signers.open_list(text, uri, now) {
            (0..1_000).for_each(|place| {
                assert_eq!(list.check(place, list.issued).is_ok(), list.get(place) == Ok(TokenStatus::Valid))
            });
            assert!(signers.open_list(text, "https://elsewhere.example/status/1", now).is_err());
        }
    }
    true
}

/// The bytes as the payload of a document that the founder of the tests signed.
fn signed(typ: Typ, payload: &[u8]) -> Option<Jws> {
    Jws::sign(typ, payload.to_vec(), &key(1)).ok()
}

/// The payload of a keys document, and the Founder's keys as an auditor holds them.
pub fn keys_document(data: &[u8]) -> bool {
    let roots = json::<KeySet>(data).is_some();
    let Some(keys) = json::<KeysDocument>(data) else { return roots };
    let at = Timestamp::from_millis(NOW_MILLIS);
    let valid = keys.validate().is_ok();
    for purpose in Purpose::ALL {
        let count = keys.online(*purpose, at).count();
        match keys.online_set(*purpose, at) {
            Some(set) => assert_eq!(set.keys().len(), count),
            // None, more than a set may hold, or one twice.
            None => assert!(count == 0 || count > KEY_SET_MAX || !valid),
        }
    }
    if let Some(document) = signed(Typ::Keys, data) {
        let opened = KeysDocument::open(&document, &founder());
        assert!(valid || opened.is_err(), "opened, though it contradicts itself");
        if let Ok(opened) = opened {
            assert!(opened.open_successor(&document).is_err(), "a document succeeds itself");
        }
    }
    true
}

/// The payload of a version statement.
pub fn statement(data: &[u8]) -> bool {
    let Some(statement) = json::<VersionStatement>(data) else { return false };
    let whole = statement.validate().is_ok();
    assert!(
        !statement.follows(Some((statement.sequence, statement.previous.unwrap_or(proof::Digest::of(b"")))))
    );
    if let Some(document) = signed(Typ::Statement, data) {
        let opened = VersionStatement::open(&document, statement.instance, key(1).public_key());
        assert_eq!(opened.is_ok(), whole, "a statement opens when it is whole");
    }
    true
}

/// The payload of an answer to a challenge.
pub fn answer(data: &[u8]) -> bool {
    let Some(answer) = json::<Answer>(data) else { return false };
    if let Some(document) = signed(Typ::Answer, data) {
        let (now, skew) = (Timestamp::from_millis(NOW_MILLIS), Span::hours(1));
        let (own, other, nonce) = ([*key(1).public_key()], [*key(9).public_key()], &answer.nonce);
        let open = |instance, keys, nonce| Answer::open(&document, (instance, keys), nonce, now, skew);
        let near = now.since(answer.at) <= skew && answer.at.since(now) <= skew;
        let bounded = answer.ledger.as_ref().is_none_or(LedgerSeen::is_bounded);
        assert_eq!(open(answer.instance, &own[..], nonce).is_ok(), near && bounded);
        assert!(open(answer.instance, &other[..], nonce).is_err(), "of another key");
        let stale = Nonce::from_random([0xa5; 16]);
        assert!(stale == *nonce || open(answer.instance, &own[..], &stale).is_err(), "to another challenge");
        assert!(answer.statement.is_none() || answer.said(&[], &[]).is_err(), "no key opens what it shows");
    }
    true
}

/// The payload of a directive.
pub fn directive(data: &[u8]) -> bool {
    let Some(directive) = json::<Directive>(data) else { return false };
    if let Some(document) = signed(Typ::Directive, data) {
        let now = Timestamp::from_millis(NOW_MILLIS);
        let open = |seen| Directive::open(&document, &founder(), directive.instance, seen, now);
        assert_eq!(open(0).is_ok(), now <= directive.expires);
        let other = INSTANCE.parse().expect("an id");
        let misread = Directive::open(&document, &founder(), other, 0, now).is_ok();
        assert!(!misread || directive.instance == other, "opened by another instance");
        if let Some(later) = directive.serial.checked_add(1) {
            assert!(open(later).is_err(), "an older directive is followed");
        }
    }
    true
}

/// The payload of a Founder's order.
pub fn order(data: &[u8]) -> bool {
    let Some(order) = json::<Order>(data) else { return false };
    let now = Timestamp::from_millis(NOW_MILLIS);
    assert!(order.check(order.serial, now).is_err(), "an order is carried out twice");
    if let Some(document) = signed(Typ::Order, data) {
        assert_eq!(Order::open(&document, &founder(), 0, now).is_ok(), order.check(0, now).is_ok());
    }
    let inner = match &order.action {
        OrderAction::Amend { constitution: document, .. } | OrderAction::Keys { document, .. } => document,
        _ => return true,
    };
    assert_eq!(Jws::parse(inner.to_json().as_bytes()).as_ref(), Ok(inner));
    true
}

/// A signature base, or a whole signed request: one request has one text, but for the order of the parameters.
pub fn request(data: &[u8]) -> bool {
    let base = core::str::from_utf8(data).is_ok_and(base_is_in_the_profile);
    let kept = json::<SignedRequest>(data).is_some_and(|request| {
        if let Ok(facts) = request.verify(key(1).public_key()) {
            assert_eq!(facts.digest, proof::Digest::of(&request.body));
        }
        base_is_in_the_profile(&request.base);
        true
    });
    base | kept
}

/// Read, it says what the profile's own text for it says: they differ in the order of the parameters at most.
pub(crate) fn base_is_in_the_profile(base: &str) -> bool {
    let Ok(facts) = RequestFacts::parse(base) else { return false };
    let RequestFacts { method, authority, digest, created, nonce, .. } = facts;
    let head =
        RequestHead { method, authority, path_and_query: facts.path_and_query(), digest, created, nonce };
    let own = head.base(facts.key, facts.algorithm).expect("what was read can be written");
    assert_eq!(RequestFacts::parse(&own), Ok(facts), "its own text says something else");
    let params = |base: &str| {
        let mut params: Vec<String> = base.split(';').map(str::to_owned).collect();
        params.sort();
        params
    };
    // A target may have semicolons of its own, in both texts alike.
    assert_eq!(params(base), params(&own), "a second text for the same request is read");
    true
}
