//! Tokens written, read and forged.

use alloc::string::String;
use alloc::vec::Vec;

use governance::entitlement::{ActivationRight, Entitlement, IssuedToken, TokenStatus};
use governance::{InstanceId, Span, SubscriptionStatus, Tier, Timestamp, Version};
use miniz_oxide::deflate::compress_to_vec_zlib;

use super::list::{BITS, List, ListClaims, PLACES_MIN, pack};
use super::*;
use crate::encoding::url_encode;
use crate::key::SeedKey;
use alloc::vec;

const NOW: i64 = 1_767_225_600_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOW + seconds * 1_000)
}

fn issuer() -> Issuer {
    Issuer { trust_domain: "fed.example".parse().unwrap(), public: "https://fed.example:8445".into() }
}

fn id(n: u8) -> InstanceId {
    InstanceId::from_random([n; 16])
}

fn key(n: u8) -> SeedKey {
    SeedKey::new([n; 32])
}

fn keys(of: &[u8]) -> TokenKeys {
    TokenKeys::new(of.iter().map(|n| *key(*n).public_key()).collect()).unwrap()
}

fn issued(domain: Option<&str>) -> IssuedToken {
    let domain = domain.map(|domain| domain.parse().unwrap());
    IssuedToken { index: 5, domain, issued: at(0), expires: at(3_600), content: Digest::of(b"") }
}

fn activation(by: u8) -> String {
    let right = ActivationRight {
        audience: id(1),
        domain: "COM".parse().unwrap(),
        version: Version::new(1, 0, 0),
        digest: None,
        issued: at(0),
        expires: at(3_600),
    };
    issuer().activation(&right, &issued(Some("COM")), &key(by)).unwrap()
}

fn entitlement(by: u8) -> String {
    let right = Entitlement {
        audience: id(1),
        tier: Tier::Enterprise,
        domains_max: None,
        custom_domains: true,
        domains: vec!["COM".parse().unwrap()],
        subscription: SubscriptionStatus::Active,
        issued: at(0),
        expires: at(3_600),
    };
    issuer().entitlement(&right, &issued(None), &key(by)).unwrap()
}

#[test]
fn en_4_en_6_a_token_counts_for_its_instance_in_its_time_by_its_key() {
    let audience = issuer().audience(id(1));
    let open = |text: &str, of: &[u8], audience: &str, now: i64| {
        keys(of).open::<EntitlementClaims>(text, Typ::Entitlement, Some(audience), at(now))
    };
    let token = entitlement(1);
    let claims = open(&token, &[2, 1], &audience, 3_599).unwrap();
    assert_eq!((claims.right.domains_max, claims.status.status_list.idx), (None, 5));
    assert_eq!(claims.status.status_list.uri, issuer().list(id(1)));
    assert_eq!(open(&token, &[1], &audience, 3_600), Err(TokenError::Expired(at(3_600))));
    assert_eq!(open(&token, &[1], &audience, -61), Err(TokenError::NotYet(at(0))));
    let other = issuer().audience(id(2));
    assert!(matches!(open(&token, &[1], &other, 0), Err(TokenError::OtherAudience { .. })));
    assert!(matches!(open(&token, &[2], &audience, 0), Err(TokenError::Document(JwsError::TooFew { .. }))));
    // One kind never passes for another (RFC 8725 §3.11).
    let wrong = open(&activation(1), &[1], &audience, 0);
    assert!(matches!(wrong, Err(TokenError::Document(JwsError::WrongType { .. }))), "{wrong:?}");
}

#[test]
fn en_4_no_algorithm_but_the_one() {
    let token = entitlement(1);
    let (_, rest) = token.split_once('.').unwrap();
    for header in [
        r#"{"alg":"none","typ":"fedplane-entitlement+jwt"}"#,
        r#"{"alg":"none","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","typ":"fedplane-entitlement+jwt"}"#,
        r#"{"alg":"HS256","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","typ":"fedplane-entitlement+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","typ":"fedplane-entitlement+jwt","jwk":{}}"#,
    ] {
        let forged = alloc::format!("{}.{rest}", url_encode(header.as_bytes()));
        let opened = keys(&[1]).open::<EntitlementClaims>(&forged, Typ::Entitlement, None, at(0));
        assert!(matches!(opened, Err(TokenError::Document(JwsError::Header(_)))), "{header}: {opened:?}");
    }
    for text in ["", "a", "a.b", "a.b.c.d", "..", &token[1..]] {
        assert!(keys(&[1]).open::<EntitlementClaims>(text, Typ::Entitlement, None, at(0)).is_err());
    }
}

#[test]
fn en_6_a_status_list_says_what_was_put_in() {
    use TokenStatus::{Invalid, Suspended, Valid};
    let statuses: Vec<TokenStatus> =
        (0..100).map(|n| [Valid, Invalid, Suspended, Valid, Suspended][n % 5]).collect();
    let times = (at(0), Span::from_millis(300_000), Span::hours(24));
    let text = issuer().status_list(id(1), statuses.iter().copied(), times, &key(1)).unwrap();
    let uri = issuer().list(id(1));
    let list = keys(&[1]).open_list(&text, &uri, at(1)).unwrap();
    assert_eq!(list.refresh, Some(at(300)));
    for (index, status) in (0..).zip(&statuses) {
        assert_eq!(list.get(index), Ok(*status), "{index}");
        assert_eq!(list.check(index, at(300)).is_ok(), *status == Valid);
    }
    assert_eq!(
        list.check(0, at(301)),
        Err(TokenError::Stale(at(300))),
        "what was revoked since is not in it"
    );
    assert_eq!(list.get(100), Err(TokenError::List("it has no such place")));
    assert_eq!(list.get(u32::MAX), Err(TokenError::List("it has no such place")));
    assert!(matches!(
        keys(&[1]).open_list(&text, &issuer().list(id(2)), at(1)),
        Err(TokenError::OtherList { .. })
    ));
    assert!(matches!(keys(&[1]).open_list(&text, &uri, at(86_400)), Err(TokenError::Expired(_))));
    assert!(keys(&[2]).open_list(&text, &uri, at(1)).is_err());
}

#[test]
fn en_6_the_packing_is_that_of_the_standard() {
    // The example of the Token Status List for two bits to a token.
    let statuses = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
    let expected = [0xc9, 0x44, 0xf9];
    for (index, status) in statuses.iter().enumerate() {
        let byte: u8 = expected[index / 4];
        assert_eq!(byte >> (index % 4 * 2) & 3, *status);
    }
    let list = StatusList { issued: at(0), refresh: None, bytes: expected.to_vec() };
    assert_eq!(list.get(0), Ok(TokenStatus::Invalid));
    assert_eq!(list.get(1), Ok(TokenStatus::Suspended));
    assert_eq!(list.get(2), Ok(TokenStatus::Valid));
    assert_eq!(list.get(3), Err(TokenError::List("it says what this version does not know")));
    let of = |bits: u8| TokenStatus::ALL.iter().copied().find(|status| *status as u8 == bits).unwrap();
    let packed = pack([1, 2, 0].into_iter().map(of));
    assert_eq!((packed[0], packed.len()), (0b00_1001, PLACES_MIN / 4));
}

#[test]
fn a_bomb_is_not_inflated() {
    let lst = url_encode(&compress_to_vec_zlib(&vec![0; LIST_BYTES_MAX + 1], 9));
    let claims = ListClaims {
        sub: "u".into(),
        iat: at(0).as_seconds(),
        exp: None,
        ttl: None,
        status_list: List { bits: BITS, lst },
    };
    let text = Jws::sign_json(Typ::StatusList, &claims, &key(1)).unwrap().to_compact().unwrap();
    let refused = keys(&[1]).open_list(&text, "u", at(1)).unwrap_err();
    assert_eq!(refused, TokenError::List("`lst` is no zlib data of at most a mebibyte"));
}

#[test]
fn a_set_of_keys_is_read_as_it_is_written() {
    let set = keys(&[1, 2]);
    assert_eq!(TokenKeys::parse(set.to_json().as_bytes()), Ok(set.clone()));
    let with_others = set.to_json().replace(
        "\"keys\":[",
        r#""keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"X25519","x":"AA"},"#,
    );
    assert_eq!(TokenKeys::parse(with_others.as_bytes()), Ok(set));
    assert_eq!(TokenKeys::parse(br#"{"keys":[]}"#), Err(TokenError::NoKeys));
    for text in [&b""[..], b"[]", b"{}", br#"{"keys":[{}]}"#] {
        assert!(matches!(TokenKeys::parse(text), Err(TokenError::Keys(_))));
    }
}
