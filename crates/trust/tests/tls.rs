//! Handshakes in memory: TLS 1.3 only, any client key classified afterwards, servers pinned to the root (HS-1, §4).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use governance::{InstanceId, Timestamp, TrustDomain};
use proof::Sign as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, NamedGroup, ProtocolVersion, ServerConfig, ServerConnection};
use trust::ca::ServerHost;
use trust::tls::{
    anonymous_client_config, client_config, provider, public_server_config, self_signed, server_config,
};
use trust::{Issuer, Peer, RootCa, SigningKey, Validity, classify};

const NOW: i64 = 1_767_225_600_000;
const YEAR: i64 = 365 * 86_400_000;

/// Certificates that count whatever the clock of the machine says.
fn always() -> Validity {
    Validity { not_before: Timestamp::from_millis(0), not_after: Timestamp::from_millis(NOW + 100 * YEAR) }
}

struct Federation {
    instances: Issuer,
    root: RootCa,
    server_key: SigningKey,
    server_chain: Vec<CertificateDer<'static>>,
}

fn trust_domain() -> TrustDomain {
    "fed.example".parse().unwrap()
}

fn federation() -> Federation {
    let issuer = Issuer::make_root(SigningKey::generate().unwrap(), &trust_domain(), always()).unwrap();
    let root = RootCa::from_pem(&issuer.certificate_pem()).unwrap();
    let key = SigningKey::generate().unwrap();
    let ca = issuer.issue_instance_ca(key.public_key(), always()).unwrap();
    let instances = Issuer::instances(&ca.to_pem(), key, &root).unwrap();
    let server_key = SigningKey::generate().unwrap();
    let hosts = [ServerHost::from("localhost"), ServerHost::from("127.0.0.1")];
    let name = "plane".parse().unwrap();
    let server_chain = issuer.issue_server(&name, &hosts, server_key.public_key(), always()).unwrap().chain;
    Federation { instances, root, server_key, server_chain }
}

/// Runs a handshake to its end; what the server saw, and what was agreed.
fn shake(
    client: ClientConfig,
    server: ServerConfig,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    for _ in 0..10 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        let heard = server.process_new_packets();
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
        heard?;
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok((client, server));
        }
    }
    panic!("the handshake does not end")
}

#[test]
fn hs_1_a_self_signed_client_gets_through_and_is_classified() {
    let f = federation();
    let key = SigningKey::generate().unwrap();
    let client = client_config(&f.root, vec![self_signed(&key).unwrap()], &key).unwrap();
    let server = server_config(f.server_chain.clone(), &f.server_key).unwrap();
    let (client, server) = shake(client, server, "localhost").unwrap();
    assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = client.negotiated_key_exchange_group().map(|group| group.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
    assert_eq!(client.alpn_protocol(), Some(&b"h2"[..]));
    let peer =
        classify(server.peer_certificates().unwrap(), &f.root, &trust_domain(), Timestamp::from_millis(NOW));
    assert_eq!(peer, Ok(Peer::SelfSigned { key: *key.public_key() }));
}

#[test]
fn an_instance_and_a_stranger_get_through_and_are_told_apart() {
    let f = federation();
    let key = SigningKey::generate().unwrap();
    let id = InstanceId::from_random([1; 16]);
    for (issuer, good) in [(&f.instances, true), (&federation().instances, false)] {
        let chain = issuer.issue_instance(id, key.public_key(), always()).unwrap().chain;
        let client = client_config(&f.root, chain, &key).unwrap();
        let server = server_config(f.server_chain.clone(), &f.server_key).unwrap();
        let (_, server) = shake(client, server, "127.0.0.1").unwrap();
        let now = Timestamp::from_millis(NOW);
        match classify(server.peer_certificates().unwrap(), &f.root, &trust_domain(), now) {
            Ok(peer) => assert!(good && matches!(peer, Peer::Instance { id: found, .. } if found == id)),
            Err(error) => assert!(!good && error.code() == "certificate-untrusted"),
        }
    }
}

#[test]
fn a_client_must_show_a_certificate_where_it_counts() {
    let f = federation();
    let server = server_config(f.server_chain.clone(), &f.server_key).unwrap();
    assert!(shake(anonymous_client_config(&f.root).unwrap(), server, "localhost").is_err());
    let public = public_server_config(f.server_chain.clone(), &f.server_key).unwrap();
    let (_, server) = shake(anonymous_client_config(&f.root).unwrap(), public, "localhost").unwrap();
    assert!(server.peer_certificates().is_none());
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let f = federation();
    let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    assert!(client_config(&f.root, vec![self_signed(&key).unwrap()], &other).is_err());
    assert!(client_config(&f.root, Vec::new(), &key).is_err());
    assert!(server_config(f.server_chain.clone(), &key).is_err());
}

#[test]
fn a_client_believes_only_its_own_federation() {
    let (ours, theirs) = (federation(), federation());
    let check = |root: &RootCa, name: &str, word: &str| {
        let key = SigningKey::generate().unwrap();
        let client = client_config(root, vec![self_signed(&key).unwrap()], &key).unwrap();
        let server = server_config(ours.server_chain.clone(), &ours.server_key).unwrap();
        let result = shake(client, server, name).map(|_| ());
        match result {
            Ok(()) => assert_eq!(word, ""),
            Err(error) => assert!(!word.is_empty() && format!("{error:?}").contains(word), "{error:?}"),
        }
    };
    check(&ours.root, "localhost", "");
    check(&theirs.root, "localhost", "Untrusted");
    check(&ours.root, "other.example", "ServerName");
}

/// Several servers behind a balancer share no secret: a client that would resume has nothing to resume with, and the next
/// server it comes to, which holds the same certificate and knows nothing of the first, shakes hands in full.
#[test]
fn no_server_gives_a_ticket_and_no_handshake_needs_what_another_server_knows() {
    let f = federation();
    let key = SigningKey::generate().unwrap();
    let mut client = client_config(&f.root, vec![self_signed(&key).unwrap()], &key).unwrap();
    client.resumption = rustls::client::Resumption::in_memory_sessions(8);
    for is_public in [false, true] {
        for _ in 0..2 {
            let chain = f.server_chain.clone();
            let server = match is_public {
                false => server_config(chain, &f.server_key).unwrap(),
                true => public_server_config(chain, &f.server_key).unwrap(),
            };
            assert!(!server.ticketer.enabled() && server.max_early_data_size == 0);
            let (mut client, mut server) = shake(client.clone(), server, "localhost").unwrap();
            assert_eq!(server.handshake_kind(), Some(rustls::HandshakeKind::Full));
            // Whatever the server still has to say says nothing of tickets.
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut wire = wire.as_slice();
            while !wire.is_empty() {
                client.read_tls(&mut wire).unwrap();
                client.process_new_packets().unwrap();
            }
            assert_eq!(client.tls13_tickets_received(), 0);
        }
    }
}

#[test]
fn nothing_older_than_tls_1_3_is_offered_or_taken() {
    let f = federation();
    let key = SigningKey::generate().unwrap();
    let server = server_config(f.server_chain.clone(), &f.server_key).unwrap();
    assert_eq!((server.send_tls13_tickets, server.session_storage.can_cache()), (0, false));
    // A client hello without the extension `supported_versions` is one of TLS 1.2.
    let client = client_config(&f.root, vec![self_signed(&key).unwrap()], &key).unwrap();
    let mut client =
        ClientConnection::new(Arc::new(client), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let versions = [0x00, 0x2b, 0x00, 0x03, 0x02, 0x03, 0x04];
    let place = hello.windows(versions.len()).position(|w| w == versions).expect("TLS 1.3 alone is offered");
    hello[place + 6] = 0x03;
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    server.read_tls(&mut hello.as_slice()).unwrap();
    let refusal = server.process_new_packets().expect_err("TLS 1.2 was negotiated");
    assert!(matches!(refusal, rustls::Error::PeerIncompatible(_)), "{refusal:?}");
    assert_eq!(provider().kx_groups[0].name(), NamedGroup::X25519MLKEM768);
}
