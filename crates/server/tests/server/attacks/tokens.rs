//! Tokens forged, borrowed, kept for too long or taken for others, as whoever verifies them meets them (EN-4, EN-5, EN-6).
//!
//! The plane hears of none of it: tokens are verified by others, with its published keys alone.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL;
use governance::{InstanceId, Span, Timestamp};
use proof::token::{Claims, EntitlementClaims, StatusList, TokenError, TokenKeys};
use proof::{KeyId, OrderAction, PublicKey, Sign, Typ};
use serde_json::{Value, json};
use trust::SigningKey;
use wire::ModuleCall;

use super::identity::serial;
use super::{ONLINE, OWNER, Reader, Row, STRANGER, Scene, THIEF, check, patient, row};
use crate::common::{World, now};
use crate::orders::signed;

pub(super) const TEST: &str = "en_4_en_6_a_token_is_the_planes_for_its_instance_in_its_time_or_it_is_none";

#[tokio::test]
async fn en_4_en_6_a_token_is_the_planes_for_its_instance_in_its_time_or_it_is_none() {
    check(&mut patient().await, ROWS).await;
}

pub(super) const ROWS: &[Row] = &[
    row(
        "`alg` confusion: none, with and without the old signature",
        STRANGER,
        "EN-4",
        "TokenError::Document",
        Reader,
        |s| {
            Box::pin(async move {
                let given = Given::new(s).await;
                let none = json!({"alg": "none", "kid": given.kid, "typ": "fedplane-entitlement+jwt"});
                let bare = json!({"alg": "none", "typ": "fedplane-entitlement+jwt"});
                let [_, payload, signature] = given.parts();
                vec![
                    given.read(&format!("{}.{payload}.", encoded(&none))),
                    given.read(&format!("{}.{payload}.", encoded(&bare))),
                    given.read(&format!("{}.{payload}.{signature}", encoded(&none))),
                ]
            })
        },
    ),
    row(
        "`alg` confusion: HMAC under the public key",
        STRANGER,
        "EN-4",
        "TokenError::Document",
        Reader,
        |s| {
            Box::pin(async move {
                let given = Given::new(s).await;
                let header = json!({"alg": "HS256", "kid": given.kid, "typ": "fedplane-entitlement+jwt"});
                let text = format!("{}.{}", encoded(&header), given.parts()[1]);
                let mut answers = Vec::new();
                let as_text = URL.encode(given.public.as_bytes());
                for secret in [&given.public.as_bytes()[..], as_text.as_bytes(), given.published.as_bytes()] {
                    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
                    answers.push(given.read(&format!("{text}.{}", URL.encode(tag))));
                }
                answers
            })
        },
    ),
    row(
        "a key that the token brings along: `jwk`, `jku`, `x5c`",
        STRANGER,
        "EN-6",
        "TokenError::Document",
        Reader,
        |s| {
            Box::pin(async move {
                let given = Given::new(s).await;
                let own = SigningKey::generate().unwrap();
                let x = URL.encode(own.public_key().as_bytes());
                let mut answers = Vec::new();
                for (name, value) in [
                    ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": x})),
                    ("jku", json!("https://localhost/jwks.json")),
                    ("x5u", json!("https://localhost/own.pem")),
                    ("x5c", json!(["MIIB"])),
                    ("crit", json!(["exp"])),
                ] {
                    let mut header =
                        json!({"alg": "EdDSA", "kid": own.key_id(), "typ": "fedplane-entitlement+jwt"});
                    header[name] = value;
                    answers.push(given.read(&given.signed(&header, &own)));
                }
                answers
            })
        },
    ),
    row(
        "another's `kid` on the own signature, and the own one",
        STRANGER,
        "EN-6",
        "TokenError::Document",
        Reader,
        |s| {
            Box::pin(async move {
                let given = Given::new(s).await;
                let own = SigningKey::generate().unwrap();
                let header =
                    |kid: KeyId| json!({"alg": "EdDSA", "kid": kid, "typ": "fedplane-entitlement+jwt"});
                vec![
                    given.read(&given.signed(&header(given.kid), &own)),
                    given.read(&given.signed(&header(own.key_id()), &own)),
                ]
            })
        },
    ),
    row("an online key for something else", ONLINE, "AU-4", "TokenError::Document", Reader, |s| {
        Box::pin(async move {
            let given = Given::new(s).await;
            let mut answers = Vec::new();
            for name in ["directives.key", "ledger.key", "timestamp.key"] {
                let key = SigningKey::load(&s.world.path("keys/federation").join(name)).unwrap();
                let header = json!({"alg": "EdDSA", "kid": key.key_id(), "typ": "fedplane-entitlement+jwt"});
                answers.push(given.read(&given.signed(&header, &key)));
            }
            answers
        })
    }),
    row(
        "another `typ`: an activation as an entitlement, a token of anybody's",
        THIEF,
        "EN-4",
        "TokenError::Document",
        Reader,
        |s| {
            Box::pin(async move {
                let given = Given::new(s).await;
                let key = SigningKey::load(&s.world.path("keys/federation/tokens.key")).unwrap();
                let mut answers = vec![given.read(&given.activation)];
                for typ in ["JWT", "at+jwt", "statuslist+jwt", "fedplane-directive+jws"] {
                    let header = json!({"alg": "EdDSA", "kid": key.key_id(), "typ": typ});
                    answers.push(given.read(&given.signed(&header, &key)));
                }
                answers
            })
        },
    ),
    row("a token whose rights were written up", OWNER, "EN-4", "TokenError::Document", Reader, |s| {
        Box::pin(async move {
            let given = Given::new(s).await;
            let [header, payload, signature] = given.parts();
            let mut claims: Value = serde_json::from_slice(&URL.decode(payload).unwrap()).unwrap();
            claims["tier"] = json!("custom");
            vec![given.read(&format!("{header}.{}.{signature}", encoded(&claims)))]
        })
    }),
    row("a token for another audience", THIEF, "EN-4", "TokenError::OtherAudience", Reader, |s| {
        Box::pin(async move {
            let given = Given::new(s).await;
            let other = InstanceId::from_random([9; 16]);
            vec![given.read_as(&given.entitlement, other, now())]
        })
    }),
    row("a token whose time is over", OWNER, "EN-4", "TokenError::Expired", Reader, |s| {
        Box::pin(async move {
            let given = Given::new(s).await;
            vec![given.read_as(&given.entitlement, given.id, now() + Span::hours(24))]
        })
    }),
    row("a token whose time is yet to come", ONLINE, "EN-4", "TokenError::NotYet", Reader, |s| {
        Box::pin(async move {
            let given = Given::new(s).await;
            vec![given.read_as(&given.entitlement, given.id, now() - Span::hours(1))]
        })
    }),
    row("another instance's status list", OWNER, "EN-6", "TokenError::OtherList", Reader, |s| {
        Box::pin(async move {
            let (other, _) = s.world.active().await;
            let given = Given::new(s).await;
            let list = public(s.world, &format!("/status/{other}")).await;
            let named = given.claims().status.status_list.uri;
            vec![told(given.keys().open_list(&list, &named, now()))]
        })
    }),
    row(
        "a status list of before the revocation, after its `ttl`",
        OWNER,
        "EN-6",
        "TokenError::Stale",
        Reader,
        |s| {
            Box::pin(async move {
                let given = Given::new(s).await;
                let kept = given.list(s.world).await;
                revoke(s, given.id).await;
                let late = kept.refresh.unwrap() + Span::from_millis(1);
                vec![told(kept.check(given.claims().status.status_list.idx, late))]
            })
        },
    ),
    row("a token of an instance that was revoked", THIEF, "LC-19", "TokenError::Status", Reader, |s| {
        Box::pin(async move {
            let given = Given::new(s).await;
            revoke(s, given.id).await;
            let list = given.list(s.world).await;
            vec![told(list.check(given.claims().status.status_list.idx, now()))]
        })
    }),
];

/// Tokens that the plane gave, and all that anyone has to verify them.
struct Given {
    id: InstanceId,
    entitlement: String,
    activation: String,
    published: String,
    public: PublicKey,
    kid: KeyId,
}

impl Given {
    /// Those of an instance; from now on it counts.
    async fn new(s: &mut Scene<'_>) -> Self {
        let (id, who) = s.victim().await;
        let own = s.world.client(&who);
        let activation =
            own.module_activate(id, &ModuleCall { domain: "COM".parse().unwrap() }).await.unwrap().token;
        let entitlement = own.entitlement(id).await.unwrap().token;
        let published = public(s.world, "/jwks.json").await;
        let key = SigningKey::load(&s.world.path("keys/federation/tokens.key")).unwrap();
        s.begins().await;
        let given =
            Self { id, entitlement, activation, published, public: *key.public_key(), kid: key.key_id() };
        assert_eq!(given.read(&given.entitlement), "Ok", "what is not forged counts");
        given
    }

    fn keys(&self) -> TokenKeys {
        TokenKeys::parse(self.published.as_bytes()).unwrap()
    }

    fn parts(&self) -> [&str; 3] {
        let parts: Vec<&str> = self.entitlement.split('.').collect();
        parts.try_into().unwrap()
    }

    /// The same claims under this header and key.
    fn signed(&self, header: &Value, key: &SigningKey) -> String {
        let text = format!("{}.{}", encoded(header), self.parts()[1]);
        let signature = key.sign(text.as_bytes());
        format!("{text}.{}", URL.encode(signature.unwrap()))
    }

    fn read(&self, token: &str) -> String {
        self.read_as(token, self.id, now())
    }

    fn read_as(&self, token: &str, id: InstanceId, at: Timestamp) -> String {
        let audience = format!("spiffe://test.example/instance/{id}");
        told(self.keys().open::<EntitlementClaims>(token, Typ::Entitlement, Some(&audience), at))
    }

    fn claims(&self) -> Claims<EntitlementClaims> {
        self.keys().open(&self.entitlement, Typ::Entitlement, None, now()).unwrap()
    }

    /// The status list as it is served now.
    async fn list(&self, world: &World) -> StatusList {
        let list = public(world, &format!("/status/{}", self.id)).await;
        self.keys().open_list(&list, &self.claims().status.status_list.uri, now()).unwrap()
    }
}

async fn revoke(s: &mut Scene<'_>, instance: InstanceId) {
    let order = signed(s.world, serial(), OrderAction::Revoke { instance, reason: "stolen".into() });
    s.world.client(&s.world.operator()).order_submit(order).await.unwrap();
    s.begins().await;
}

async fn public(world: &World, path: &str) -> String {
    String::from_utf8(world.public().file(path, 1 << 20).await.unwrap().unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    URL.encode(value.to_string())
}

/// The error's variant.
fn told<T>(result: Result<T, TokenError>) -> String {
    let Err(error) = result else { return "Ok".to_owned() };
    let shown = format!("{error:?}");
    let variant: String = shown.chars().take_while(char::is_ascii_alphabetic).collect();
    format!("TokenError::{variant}")
}
