//! Who a chain of certificates is, under which authority, and when (ID-1, HS-1, HS-2, AU-2).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use governance::{InstanceId, OperatorName, Person, Timestamp, TrustDomain};
use proof::Sign as _;
use rustls::pki_types::{CertificateDer, ServerName};
use trust::ca::{ServerHost, make_csr, read_csr, signed_list};
use trust::identity::check_server;
use trust::tls::self_signed;
use trust::{CaError, IdentityError, Issuer, Peer, RootCa, SigningKey, Validity, classify, pem};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const DAY: i64 = 86_400_000;
const YEAR: i64 = 365 * DAY;
const NOW: i64 = 1_767_225_600_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn validity(from: i64, to: i64) -> Validity {
    Validity { not_before: at(from), not_after: at(to) }
}

fn trust_domain() -> TrustDomain {
    "fed.example".parse().unwrap()
}

fn operator() -> OperatorName {
    "admin".parse().unwrap()
}

struct Federation {
    root: Issuer,
    instances: Issuer,
    trusted: RootCa,
}

fn federation_of(trust_domain: &TrustDomain) -> Federation {
    let long = validity(NOW - DAY, NOW + 10 * YEAR);
    let root = Issuer::make_root(SigningKey::generate().unwrap(), trust_domain, long).unwrap();
    let trusted = RootCa::from_pem(&root.certificate_pem()).unwrap();
    let key = SigningKey::generate().unwrap();
    let issued = root.issue_instance_ca(key.public_key(), long).unwrap();
    let instances = Issuer::instances(&issued.to_pem(), key, &trusted).unwrap();
    Federation { root, instances, trusted }
}

fn federation() -> Federation {
    federation_of(&trust_domain())
}

fn who(chain: &[CertificateDer<'_>], federation: &Federation, now: i64) -> Result<Peer, IdentityError> {
    classify(chain, &federation.trusted, &trust_domain(), at(now))
}

fn code(result: Result<Peer, IdentityError>) -> &'static str {
    let error = result.unwrap_err();
    assert!(!error.hint().is_empty());
    error.code()
}

#[test]
fn id_1_an_instance_is_known_by_its_certificate() {
    let federation = federation();
    let key = SigningKey::generate().unwrap();
    let id = InstanceId::from_random([1; 16]);
    let issued = federation.instances.issue_instance(id, key.public_key(), validity(NOW, NOW + DAY)).unwrap();
    assert_eq!(issued.chain.len(), 2);
    let chain = pem::certificates(&issued.to_pem()).unwrap();
    assert_eq!(chain, issued.chain);
    let peer = |expired| Peer::Instance {
        id,
        key: *key.public_key(),
        serial: issued.serial.clone(),
        not_before: at(NOW),
        not_after: at(NOW + DAY),
        expired,
    };
    assert_eq!(who(&chain, &federation, NOW), Ok(peer(false)));
    assert_eq!(who(&chain, &federation, NOW + DAY), Ok(peer(false)));
    assert_eq!(who(&chain, &federation, NOW + DAY + 1000), Ok(peer(true)));
    assert_eq!(who(&chain, &federation, NOW + 20 * YEAR), Ok(peer(true)));
    assert_eq!(code(who(&chain, &federation, NOW - 1000)), "certificate-not-yet-valid");
}

#[test]
fn au_2_operators_and_servers_come_from_the_root_alone() {
    let federation = federation();
    let key = SigningKey::generate().unwrap();
    let period = validity(NOW, NOW + DAY);
    let issued =
        federation.root.issue_person(&Person::operator(operator()), key.public_key(), period).unwrap();
    assert_eq!(issued.chain.len(), 1);
    let Ok(Peer::Person { person, key: found, .. }) = who(&issued.chain, &federation, NOW) else { panic!() };
    assert_eq!((person, found), (Person::operator(operator()), *key.public_key()));
    assert_eq!(code(who(&issued.chain, &federation, NOW + 2 * DAY)), "certificate-expired");
    let id = InstanceId::from_random([1; 16]);
    for refused in [
        federation.instances.issue_person(&Person::operator(operator()), key.public_key(), period),
        federation.instances.issue_server(&operator(), &[], key.public_key(), period),
        federation.instances.issue_instance_ca(key.public_key(), period),
        federation.root.issue_instance(id, key.public_key(), period),
    ] {
        assert!(matches!(refused, Err(CaError::NotItsBusiness(_))));
    }
}

/// What a thief of the instance CA's key could sign, made with the bare encoder.
fn forged(
    federation: &Federation,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> Vec<CertificateDer<'static>> {
    let long = validity(NOW - DAY, NOW + YEAR);
    // A second CA whose key the test holds in the encoder's form.
    let ca_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ca_public = proof::PublicKey::from_bytes(&ca_key.public_key_raw().try_into().unwrap()).unwrap();
    let ca = federation.root.issue_instance_ca(&ca_public, long).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&ca.chain[0], ca_key).unwrap();
    let leaf_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth, rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names =
        vec![uri("spiffe://fed.example/instance/01010101-0101-4101-8101-010101010101")];
    change(&mut params);
    let leaf = params.signed_by(&leaf_key, &issuer).unwrap();
    vec![leaf.der().clone(), ca.chain[0].clone()]
}

fn uri(text: &str) -> rcgen::SanType {
    rcgen::SanType::URI(text.try_into().unwrap())
}

#[test]
fn au_2_what_the_stolen_instance_ca_signs_is_held_to_the_profile() {
    let federation = federation();
    let check = |what: &str, expected: &str, change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let result = who(&forged(&federation, change), &federation, NOW);
        assert_eq!(result.map_or_else(|error| error.code(), |_| "accepted"), expected, "{what}");
    };
    check("an instance", "accepted", &|_| {});
    let named =
        |text: &'static str| move |p: &mut rcgen::CertificateParams| p.subject_alt_names = vec![uri(text)];
    check("an operator", "certificate-not-accepted", &named("spiffe://fed.example/operator/admin"));
    check("a server", "certificate-not-accepted", &named("spiffe://fed.example/server/plane"));
    check("something else", "certificate-not-accepted", &named("spiffe://fed.example/founder/x"));
    check("no path", "certificate-not-accepted", &named("spiffe://fed.example/instance"));
    check("no uuid", "certificate-not-accepted", &named("spiffe://fed.example/instance/x"));
    check(
        "a longer path",
        "certificate-not-accepted",
        &named("spiffe://fed.example/instance/01010101-0101-4101-8101-010101010101/x"),
    );
    check(
        "another trust domain",
        "certificate-untrusted",
        &named("spiffe://fed.example.org/instance/01010101-0101-4101-8101-010101010101"),
    );
    check(
        "another scheme",
        "certificate-untrusted",
        &named("https://fed.example/instance/01010101-0101-4101-8101-010101010101"),
    );
    check("two URIs", "certificate-not-accepted", &|p| {
        p.subject_alt_names.push(uri("spiffe://fed.example/operator/admin"))
    });
    check("a DNS name", "certificate-not-accepted", &|p| {
        p.subject_alt_names.push(rcgen::SanType::DnsName("plane.example".try_into().unwrap()));
    });
    check("no names", "certificate-not-accepted", &|p| p.subject_alt_names.clear());
    check("signs certificates", "certificate-not-accepted", &|p| {
        p.key_usages.push(rcgen::KeyUsagePurpose::KeyCertSign)
    });
    check("no key usage", "certificate-not-accepted", &|p| p.key_usages.clear());
    check("servers only", "certificate-not-accepted", &|p| drop(p.extended_key_usages.remove(0)));
    check("a CA", "certificate-not-accepted", &|p| {
        p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)
    });
}

#[test]
fn au_2_the_instance_ca_makes_no_further_ca() {
    let federation = federation();
    let ca_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ca_public = proof::PublicKey::from_bytes(&ca_key.public_key_raw().try_into().unwrap()).unwrap();
    let ca = federation.root.issue_instance_ca(&ca_public, validity(NOW - DAY, NOW + YEAR)).unwrap();
    let sub_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::from_ca_cert_der(&ca.chain[0], &ca_key).unwrap();
    let sub = params.signed_by(&sub_key, &issuer).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(sub.der(), &sub_key).unwrap();
    let leaf_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let leaf = rcgen::CertificateParams::default().signed_by(&leaf_key, &issuer).unwrap();
    let chain = [leaf.der().clone(), sub.der().clone(), ca.chain[0].clone()];
    assert_eq!(code(who(&chain, &federation, NOW)), "certificate-untrusted");
}

#[test]
fn a_foreign_ca_is_not_believed() {
    let (ours, theirs) = (federation(), federation());
    let key = SigningKey::generate().unwrap();
    let period = validity(NOW, NOW + DAY);
    let id = InstanceId::from_random([1; 16]);
    let instance = theirs.instances.issue_instance(id, key.public_key(), period).unwrap();
    let error = who(&instance.chain, &ours, NOW).unwrap_err();
    assert_eq!(error.code(), "certificate-untrusted");
    assert!(error.hint().contains("registration"));
    // Also once it has run out, and under our own intermediate in place of theirs.
    assert_eq!(code(who(&instance.chain, &ours, NOW + YEAR)), "certificate-untrusted");
    let ours_instance = ours.instances.issue_instance(id, key.public_key(), period).unwrap();
    let mixed = [instance.chain[0].clone(), ours_instance.chain[1].clone()];
    assert_eq!(code(who(&mixed, &ours, NOW)), "certificate-untrusted");
    // Without the link to the root.
    assert_eq!(code(who(&ours_instance.chain[..1], &ours, NOW)), "certificate-untrusted");
    let operator = theirs.root.issue_person(&Person::operator(operator()), key.public_key(), period).unwrap();
    assert_eq!(code(who(&operator.chain, &ours, NOW)), "certificate-untrusted");
    assert_eq!(code(who(&[], &ours, NOW)), "certificate-malformed");
    assert_eq!(code(who(&[CertificateDer::from(vec![1, 2, 3])], &ours, NOW)), "certificate-malformed");
    // The root's own certificate is nobody's identity.
    assert!(who(&pem::certificates(&ours.root.certificate_pem()).unwrap(), &ours, NOW).is_err());
}

#[test]
fn hs_1_a_self_signed_certificate_says_its_key_and_nothing_else() {
    let federation = federation();
    let key = SigningKey::generate().unwrap();
    let certificate = self_signed(&key).unwrap();
    assert_eq!(
        who(std::slice::from_ref(&certificate), &federation, NOW),
        Ok(Peer::SelfSigned { key: *key.public_key() })
    );
    let mut forged = certificate.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(code(who(&[CertificateDer::from(forged)], &federation, NOW)), "certificate-untrusted");
    let p256 = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    assert_eq!(code(who(&[p256.cert.der().clone()], &federation, NOW)), "certificate-key-unsupported");
}

#[test]
fn hs_1_a_request_gives_its_key_and_proves_it() {
    let key = SigningKey::generate().unwrap();
    let csr = make_csr(&key).unwrap();
    assert_eq!(read_csr(&csr), Ok(*key.public_key()));
    // Another key put in its place: the signature no longer fits.
    let other = SigningKey::generate().unwrap();
    let der = x509_parser::pem::parse_x509_pem(csr.as_bytes()).unwrap().1.contents;
    let place = der.windows(32).position(|w| w == key.public_key().as_bytes()).unwrap();
    let mut forged = der;
    forged[place..place + 32].copy_from_slice(other.public_key().as_bytes());
    assert_eq!(read_csr(&pem::encode("CERTIFICATE REQUEST", &forged)), Err(CaError::CsrSignature));
    let p256 = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default().serialize_request(&p256).unwrap().pem().unwrap();
    assert_eq!(read_csr(&csr), Err(CaError::CsrKey));
    for bad in ["", "hello", &pem::encode("CERTIFICATE REQUEST", b"x"), &"a".repeat(9000)] {
        assert_eq!(read_csr(bad), Err(CaError::CsrMalformed));
    }
    assert_eq!(read_csr(&key.to_pem()), Err(CaError::CsrMalformed));
}

#[test]
fn hs_1_what_a_request_asks_for_is_not_copied() {
    let federation = federation();
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["plane.example".to_owned()]).unwrap();
    params.subject_alt_names.push(uri("spiffe://fed.example/operator/admin"));
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = read_csr(&params.serialize_request(&pair).unwrap().pem().unwrap()).unwrap();
    let id = InstanceId::from_random([2; 16]);
    let issued = federation.instances.issue_instance(id, &key, validity(NOW, NOW + DAY)).unwrap();
    assert!(
        matches!(who(&issued.chain, &federation, NOW), Ok(Peer::Instance { id: found, .. }) if found == id)
    );
}

#[test]
fn id_1_certificates_are_x509_svids() {
    let federation = federation();
    let key = SigningKey::generate().unwrap();
    let id = InstanceId::from_random([1; 16]);
    let issued = federation.instances.issue_instance(id, key.public_key(), validity(NOW, NOW + DAY)).unwrap();
    let (_, leaf) = X509Certificate::from_der(&issued.chain[0]).unwrap();
    assert_eq!(leaf.subject().iter().count(), 0);
    let san = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(san.critical && san.value.general_names.len() == 1);
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.flags == 1, "digitalSignature alone");
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && extended.server_auth && !extended.any);
    assert!(!leaf.is_ca());
    assert_eq!(leaf.raw_serial().len(), 16);
    let (_, ca) = X509Certificate::from_der(&issued.chain[1]).unwrap();
    let usage = ca.key_usage().unwrap().unwrap();
    assert!(ca.is_ca() && usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature());
    assert_eq!(ca.basic_constraints().unwrap().unwrap().value.path_len_constraint, Some(0));
}

#[test]
fn a_revocation_list_is_told_by_who_signed_it() {
    let federation = federation();
    let key = |pem: &str| trust::identity::public_key(&pem::certificates(pem).unwrap()[0]).unwrap();
    let (instances, root) =
        (key(&federation.instances.certificate_pem()), key(&federation.root.certificate_pem()));
    let revoked = [("0a1b".to_owned(), at(NOW))];
    let mut list = federation.instances.revocation_list(&revoked, at(NOW), at(NOW + DAY)).unwrap();
    assert!(signed_list(&list, &instances));
    assert!(!signed_list(&list, &root));
    *list.last_mut().unwrap() ^= 1;
    assert!(!signed_list(&list, &instances));
    assert!(!signed_list(b"", &instances));
}

#[test]
fn a_ca_is_loaded_with_its_own_key_only() {
    let federation = federation();
    let stranger = || SigningKey::generate().unwrap();
    let root = federation.root.certificate_pem();
    assert!(matches!(Issuer::root(&root, stranger()), Err(CaError::OtherKey)));
    let instances = federation.instances.certificate_pem();
    assert!(matches!(Issuer::instances(&instances, stranger(), &federation.trusted), Err(CaError::OtherKey)));
    assert!(RootCa::from_pem(&instances).is_err(), "an intermediate is no root");
    let theirs = self::federation();
    let error = Issuer::instances(&instances, stranger(), &theirs.trusted).unwrap_err();
    assert!(matches!(error, CaError::Certificate(IdentityError::Untrusted(_))), "{error}");
    let elsewhere = federation_of(&"other.example".parse().unwrap());
    let error = Issuer::instances(&instances, stranger(), &elsewhere.trusted).unwrap_err();
    assert!(matches!(error, CaError::Certificate(IdentityError::TrustDomain { .. })), "{error}");
    assert_eq!(federation.trusted.trust_domain(), &trust_domain());
    let backwards = federation.root.issue_person(
        &Person::operator(operator()),
        stranger().public_key(),
        validity(NOW, NOW - DAY),
    );
    assert!(matches!(backwards, Err(CaError::Validity { .. })));
}

#[test]
fn a_server_is_of_the_root_and_of_the_name_called() {
    let federation = federation();
    let key = SigningKey::generate().unwrap();
    let period = validity(NOW, NOW + DAY);
    let hosts = [ServerHost::from("plane.example"), ServerHost::from("127.0.0.1"), ServerHost::from("::1")];
    let server =
        federation.root.issue_server(&"plane".parse().unwrap(), &hosts, key.public_key(), period).unwrap();
    let check = |chain: &[CertificateDer<'_>], name: &str, now: i64, expected: &str| {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let result = check_server(chain, &federation.trusted, &name, at(now));
        assert_eq!(result.map_or_else(|error| error.code(), |()| "accepted"), expected, "{name:?}");
    };
    check(&server.chain, "plane.example", NOW, "accepted");
    check(&server.chain, "127.0.0.1", NOW, "accepted");
    check(&server.chain, "::1", NOW, "accepted");
    check(&server.chain, "other.example", NOW, "certificate-wrong-name");
    check(&server.chain, "127.0.0.2", NOW, "certificate-wrong-name");
    check(&server.chain, "plane.example", NOW + 2 * DAY, "certificate-expired");
    let stolen = forged(&federation, |params| {
        params.subject_alt_names = vec![
            uri("spiffe://fed.example/server/plane"),
            rcgen::SanType::DnsName("plane.example".try_into().unwrap()),
        ];
    });
    check(&stolen, "plane.example", NOW, "certificate-not-accepted");
    let admin =
        federation.root.issue_person(&Person::operator(operator()), key.public_key(), period).unwrap();
    check(&admin.chain, "plane.example", NOW, "certificate-not-accepted");
    assert_eq!(code(who(&server.chain, &federation, NOW)), "certificate-not-accepted");
}
