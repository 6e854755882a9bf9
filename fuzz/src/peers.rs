//! What peers send: certificates, certificate requests, header fields, bodies.

use std::sync::OnceLock;

use governance::Timestamp;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use listener::proxy::{Head, SIGNATURE, Told};
use proof::RequestFacts;
use proof::Sign as _;
use proof::request::Algorithm;
use rustls::pki_types::{CertificateDer, ServerName};
use trust::ca::read_csr;
use trust::request::{SignedHead, Target};
use trust::{Peer, RootCa, classify, identity};
use wire::events::EventReader;

use crate::documents::base_is_in_the_profile;
use crate::json;
use crate::seeds::{Authority, NOW_MILLIS, key};

/// Certificates as PEM: read, written, read.
pub fn pem(data: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(data) else { return false };
    let _ = RootCa::from_pem(text);
    let Ok(chain) = trust::pem::certificates(text) else { return false };
    let written = trust::pem::encode_certificates(&chain);
    // Written anew, it can be longer than what may be read: sixteen empty certificates are not.
    if written.len() <= trust::pem::TEXT_BYTES_MAX {
        assert_eq!(
            trust::pem::certificates(&written).as_ref(),
            Ok(&chain),
            "read again, it is another chain"
        );
    }
    true
}

/// The authority whose peers call; made once.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

/// A certificate in DER, shown alone and before the instance CA's.
pub fn x509(data: &[u8]) -> bool {
    let authority = authority();
    let certificate = CertificateDer::from(data.to_vec());
    let now = Timestamp::from_millis(NOW_MILLIS);
    let found = identity::public_key(&certificate);
    let server = ServerName::try_from("localhost").expect("a name");
    for chain in [vec![certificate.clone()], vec![certificate.clone(), authority.intermediate.clone()]] {
        let peer = classify(&chain, &authority.root, &authority.trust_domain, now);
        if let Ok(Peer::Instance { .. }) = peer {
            assert!(authority.issued(data), "an instance that nobody made");
        }
        if let Ok(Peer::Person { .. }) = peer {
            assert!(authority.issued(data), "an operator that nobody made");
        }
        let served = identity::check_server(&chain, &authority.root, &server, now).is_ok();
        assert!(!served || authority.issued(data), "a server that nobody made");
    }
    let _ = RootCa::from_pem(&trust::pem::encode("CERTIFICATE", data));
    found.is_ok()
}

/// A certificate request, in PEM or the DER inside.
pub fn csr(data: &[u8]) -> bool {
    let text = if data.starts_with(b"-----") {
        String::from_utf8_lossy(data).into_owned()
    } else {
        trust::pem::encode("CERTIFICATE REQUEST", data)
    };
    read_csr(&text).is_ok()
}

/// A request as it arrives: `METHOD URI`, a line per field, an empty line, the body.
pub fn request_head(data: &[u8]) -> bool {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut first = lines.next().unwrap_or_default().splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(first.next().unwrap_or_default());
    let uri = Uri::try_from(first.next().unwrap_or_default());
    let (Ok(method), Ok(uri)) = (method, uri) else { return false };
    let mut headers = HeaderMap::new();
    for line in lines.by_ref().take(64).take_while(|line| !line.is_empty()) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(parts.next().unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let _ = Target::sent(&method, &uri);
    let Ok(target) = Target::received(&method, &uri, &headers) else { return false };
    let Ok(head) = SignedHead::read(&target, &headers) else { return false };
    let facts = *head.facts_unverified();
    let body = lines.collect::<Vec<_>>().join(&b'\n');
    let holds = facts.digest == governance::Digest::of(&body) && head.verify(key(1).public_key()).is_ok();
    let by_channel = head.verify_on_channel(key(1).public_key(), &[7; 32]).is_ok();
    assert!(
        !by_channel || head.algorithm() == Algorithm::HmacSha256,
        "proved in another way than it is signed"
    );
    // What is signed under a channel's key is nobody's proof.
    let Some(request) = head.with_body(body) else {
        assert!(!holds, "kept by nobody, though it holds");
        return true;
    };
    assert!(base_is_in_the_profile(&request.base), "a base outside the profile was rebuilt");
    let said = RequestFacts::parse(&request.base).expect("what was read is in the profile");
    assert_eq!((said.method, said.authority), (target.method.as_str(), target.authority.as_str()));
    assert_eq!(said.path_and_query(), target.path_and_query);
    assert_eq!(request.verify(key(1).public_key()).is_ok(), holds);
    true
}

/// A stream of server-sent events: cut in the middle, it says the same.
pub fn events(data: &[u8]) -> bool {
    let whole = EventReader::default().push(data);
    let (one, other) = data.split_at(data.len() / 2);
    let mut reader = EventReader::default();
    let cut = reader.push(one).and_then(|mut looks| {
        looks.extend(reader.push(other)?);
        Ok(looks)
    });
    assert_eq!(cut, whole, "cut, it says something else");
    let Ok(looks) = whole else { return false };
    for look in &looks {
        // Written anew, a reason with any letters in it ends no line before its time.
        if let Ok(again) = EventReader::default().push(look.to_event().as_bytes()) {
            assert_eq!(again.as_slice(), core::slice::from_ref(look), "read again, it says something else");
        }
    }
    !looks.is_empty()
}

/// A header of the PROXY protocol, at the beginning of what a balancer's connection says.
pub fn proxy(data: &[u8]) -> bool {
    let Some((prefix, more)) = data.split_first_chunk() else { return false };
    let Ok(head) = Head::read(prefix) else { return false };
    let rest = more.get(..head.rest()).unwrap_or(more);
    let told = head.finish(rest);
    assert!(told.is_err() || rest.len() == head.rest(), "more was read than there is");
    // What stands behind the header says nothing of it.
    assert_eq!(head.finish(more), told, "the bytes behind it count");
    match told {
        Ok(Told::Client(client)) => {
            // Written anew with nothing but the addresses, it is from the same client.
            let family = if client.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
            let mut again = [SIGNATURE.as_slice(), &[0x21, family.0, 0, family.1]].concat();
            again.extend(rest.iter().take(usize::from(family.1)));
            let (prefix, rest) = again.split_first_chunk().expect("a head");
            assert_eq!(Head::read(prefix).and_then(|head| head.finish(rest)), told);
            true
        }
        Ok(Told::Balancer) => true,
        Err(_) => false,
    }
}

/// The bodies of requests, as the server reads them, and of answers, as agents and operators do.
pub fn wire(data: &[u8]) -> bool {
    macro_rules! any {
        ($($body:ty),+ $(,)?) => { [$(json::<$body>(data).is_some()),+].contains(&true) };
    }
    any!(
        wire::Register,
        wire::Registered,
        wire::Renew,
        wire::Renewed,
        wire::Report,
        wire::UpgradeBegin,
        wire::UpgradeFinish,
        wire::Retry,
        wire::Standing,
        wire::Status,
        wire::EnrolmentRequest,
        wire::EnrolmentCreated,
        wire::Page<wire::InstanceView>,
        wire::RolloutView,
        wire::Publish,
        wire::ReleaseView,
        wire::SubmitOrder,
        wire::RedSwitch,
        wire::TargetPut,
        wire::SubscriptionChange,
        wire::EntryPage,
        wire::Federation,
        wire::Problem,
    )
}
