//! Writes tokens, the keys they verify with, and a status list, for other implementations to verify: `tokens DIR UNIX_SECONDS`.
//!
//! Keys from known seeds. Never use them for anything.

use std::error::Error;
use std::fs;
use std::path::Path;

use governance::entitlement::{ActivationRight, Entitlement, IssuedToken, TokenStatus};
use governance::{Digest, InstanceId, Span, SubscriptionStatus, Tier, Timestamp, Version};
use proof::keys::{KeysDocument, OnlineKey, Purpose};
use proof::token::{Issuer, TokenKeys};
use proof::{KeySet, SeedKey, Sign as _};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: tokens DIR UNIX_SECONDS";
    let folder = arguments.next().ok_or(usage)?;
    let seconds: i64 = arguments.next().ok_or(usage)?.parse()?;
    let now = Timestamp::from_millis(seconds * 1_000);
    let write = |name: &str, text: String| fs::write(Path::new(&folder).join(name), text);

    // Two keys: the one that signs, and the next one, published ahead of its time.
    let [key, next, forger] = [1, 2, 9].map(|seed| SeedKey::new([seed; 32]));
    let online = |key: &SeedKey, from: Timestamp| OnlineKey {
        purpose: Purpose::Tokens,
        key: *key.public_key(),
        not_before: from,
        not_after: now + Span::hours(24 * 90),
    };
    let keys = KeysDocument {
        serial: 1,
        trust_domain: "fed.example".parse()?,
        issued: now,
        founder: KeySet::single(*SeedKey::new([7; 32]).public_key()),
        organism: KeySet::single(*SeedKey::new([8; 32]).public_key()),
        online: vec![online(&key, now), online(&next, now + Span::hours(24))],
        root_ca: String::new(),
        ledger_origin: String::new(),
    };
    write("jwks.json", TokenKeys::of(&keys, now)?.to_json())?;

    let id = InstanceId::from_random([1; 16]);
    let issuer = Issuer { trust_domain: keys.trust_domain, public: "https://fed.example:8445".to_owned() };
    let token = |index, domain: Option<&str>, expires| -> Result<IssuedToken, Box<dyn Error>> {
        let domain = domain.map(str::parse).transpose()?;
        Ok(IssuedToken { index, domain, issued: now, expires, content: Digest::of(b"") })
    };
    let right = Entitlement {
        audience: id,
        tier: Tier::Pro,
        domains_max: Some(10),
        custom_domains: false,
        domains: vec!["COM".parse()?, "EDU".parse()?],
        subscription: SubscriptionStatus::Active,
        issued: now,
        expires: now + Span::hours(24),
    };
    let day = token(0, None, now + Span::hours(24))?;
    write("entitlement.jwt", issuer.entitlement(&right, &day, &key)?)?;
    write("forged.jwt", issuer.entitlement(&right, &day, &forger)?)?;
    write("expired.jwt", issuer.entitlement(&right, &token(0, None, now)?, &key)?)?;
    let right = ActivationRight {
        audience: id,
        domain: "COM".parse()?,
        version: Version::new(1, 2, 0),
        digest: Some(Digest::of(b"module")),
        issued: now,
        expires: now + Span::hours(24 * 30),
    };
    write("activation.jwt", issuer.activation(&right, &token(1, Some("COM"), right.expires)?, &key)?)?;
    let statuses = [TokenStatus::Valid, TokenStatus::Suspended, TokenStatus::Invalid, TokenStatus::Valid];
    let times = (now, Span::from_millis(300_000), Span::hours(24));
    write("status.jwt", issuer.status_list(id, statuses.into_iter(), times, &key)?)?;
    write("audience", issuer.audience(id))?;
    Ok(())
}
