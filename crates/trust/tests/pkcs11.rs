//! Keys in a token, held against SoftHSM: making, signing from many threads, a module that was shut down, a wrong PIN.
//!
//! SoftHSM reads its settings from an environment variable, which a test may not set for itself: the test starts itself
//! once more with it. Where SoftHSM is not installed there is nothing to hold it against; `scripts/test` installs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki::context::Pkcs11;
use governance::{Timestamp, TrustDomain};
use proof::Sign as _;
use rustls::ServerConfig;
use trust::keyfile::{PRIVATE_MODE, write_new};
use trust::{Issuer, KeySource, RootCa, Secrets, Signer, SigningKey, Validity};

const CONF: &str = "SOFTHSM2_CONF";
const FOLDER: &str = "FEDPLANE_TEST_TOKENS";
const MODULES: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

fn module() -> Option<&'static str> {
    MODULES.iter().copied().find(|path| Path::new(path).exists())
}

fn make_token(folder: &Path, label: &str) {
    let conf = folder.join("softhsm2.conf");
    let made = Command::new("softhsm2-util")
        .env(CONF, conf)
        .args(["--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", "1234"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn keys_in_a_token() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return in_the_token(&PathBuf::from(folder));
    }
    if module().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
    std::fs::write(folder.path().join("softhsm2.conf"), conf).unwrap();
    make_token(folder.path(), "fed");
    make_token(folder.path(), "other");
    for (name, pin) in [("pin", "1234\n"), ("wrong", "4321\n")] {
        write_new(&folder.path().join(name), pin.as_bytes(), PRIVATE_MODE).unwrap();
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .env(CONF, folder.path().join("softhsm2.conf"))
        .env(FOLDER, folder.path())
        .args(["--exact", "keys_in_a_token", "--nocapture"])
        .output()
        .unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
}

fn key(folder: &Path, attributes: &str, pin: &str) -> KeySource {
    let (module, folder) = (module().unwrap(), folder.display());
    format!("pkcs11:{attributes}?module-path={module}&pin-source={folder}/{pin}").parse().unwrap()
}

fn refused(source: &KeySource, word: &str) {
    let error = source.open(&mut Secrets::none()).unwrap_err().to_string();
    assert!(error.contains(word), "{source}: {error}");
}

fn signs(signer: &Signer, message: &[u8]) {
    let signature = signer.sign(message).unwrap();
    assert!(signer.public_key().verify(message, &signature).is_ok());
}

fn in_the_token(folder: &Path) {
    let none = &mut Secrets::none();
    let ledger = key(folder, "token=fed;object=ledger", "pin");
    // Before the process is logged in: then the module asks for no PIN any more.
    refused(&key(folder, "token=fed;object=ledger", "wrong"), "refuses the PIN");
    refused(&key(folder, "token=fed;object=ledger", "no-such-file"), "no such file");
    let module = module().unwrap();
    refused(
        &format!("pkcs11:token=fed;object=ledger?module-path={module}").parse().unwrap(),
        "no PIN is at hand",
    );
    refused(&"pkcs11:token=fed;object=ledger".parse().unwrap(), "module-path");
    refused(
        &"pkcs11:token=fed;object=a?module-path=/etc/hostname".parse().unwrap(),
        "module-path /etc/hostname",
    );
    refused(&key(folder, "token=fad;object=ledger", "pin"), "no such token");
    refused(&key(folder, "manufacturer=SoftHSM%20project;object=ledger", "pin"), "2 tokens fit");
    refused(&ledger, "no such Ed25519 key");
    refused(&key(folder, "token=fed", "pin"), "which key");

    let made = ledger.make(None, none).unwrap();
    let opened = ledger.open(none).unwrap();
    assert_eq!(made.key_id(), opened.key_id());
    signs(&made, b"message");
    signs(&opened, &[7; 100_000]);
    let again = ledger.make(None, none).unwrap_err().to_string();
    assert!(again.contains("already"), "{again}");
    assert!(key(folder, "token=fed;object=x;id=%01", "pin").make(None, none).is_ok());
    let by_id = key(folder, "token=fed;id=%01", "pin").open(none).unwrap();
    signs(&by_id, b"message");
    assert!(key(folder, "token=fed;object=y;id=%01", "pin").make(None, none).is_err(), "an id once");
    assert!(key(folder, "token=other;object=ledger", "pin").make(None, none).is_ok(), "another token");

    many_threads_sign(&opened);
    certificates_and_tls(&opened);

    // As after a restart of the module's own service: nothing that was open is, and everything is opened anew.
    Pkcs11::new(module).unwrap().finalize().unwrap();
    signs(&opened, b"after");
    many_threads_sign(&opened);
    Pkcs11::new(module).unwrap().finalize().unwrap();
    signs(&ledger.open(none).unwrap(), b"after");

    // As when a token is pulled out, and put in again.
    let (tokens, away) = (folder.join("tokens"), folder.join("away"));
    for _ in 0..2 {
        std::fs::rename(&tokens, &away).unwrap();
        std::fs::create_dir(&tokens).unwrap();
        let gone = opened.sign(b"message").unwrap_err();
        assert_eq!(gone.key, opened.key_id());
        assert!(gone.to_string().contains("no such token"), "{gone}");
        std::fs::remove_dir(&tokens).unwrap();
        // Not even the module starts.
        let lost = opened.sign(b"message").unwrap_err();
        assert!(lost.to_string().contains("the module does not start"), "{lost}");
        std::fs::rename(&away, &tokens).unwrap();
        signs(&opened, b"again");
        many_threads_sign(&opened);
    }

    many_threads_go_on_through_outages(&opened, &tokens, &away);

    ledger.unmake(none).unwrap();
    refused(&ledger, "no such Ed25519 key");
    let gone = opened.sign(b"message").unwrap_err();
    assert_eq!(gone.key, opened.key_id());
    assert!(gone.to_string().contains("pkcs11:token=fed;object=ledger"), "{gone}");
    signs(&by_id, b"message");
}

fn many_threads_sign(signer: &Signer) {
    let threads: Vec<_> = (0..8_u8)
        .map(|thread| {
            let signer = signer.clone();
            std::thread::spawn(move || (0..20).for_each(|turn| signs(&signer, &[thread, turn])))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// The module is shut down and started anew between the calls of others, never under one.
fn many_threads_go_on_through_outages(signer: &Signer, tokens: &Path, away: &Path) {
    let over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4_u8)
        .map(|thread| {
            let (signer, over) = (signer.clone(), Arc::clone(&over));
            std::thread::spawn(move || {
                let mut signed = 0;
                while !over.load(Ordering::Relaxed) {
                    match signer.sign(&[thread]) {
                        Ok(signature) => {
                            assert!(signer.public_key().verify(&[thread], &signature).is_ok());
                            signed += 1;
                        }
                        Err(error) => assert_eq!(error.key, signer.key_id()),
                    }
                }
                signed
            })
        })
        .collect();
    for _ in 0..10 {
        std::fs::rename(tokens, away).unwrap();
        assert!(signer.sign(b"away").is_err());
        std::fs::rename(away, tokens).unwrap();
        // Whoever is alone with the module first starts it anew.
        while signer.sign(b"back").is_err() {}
    }
    over.store(true, Ordering::Relaxed);
    let signed: i32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(signed > 0);
    many_threads_sign(signer);
}

fn certificates_and_tls(signer: &Signer) {
    let domain: TrustDomain = "fleet.example".parse().unwrap();
    let (not_before, not_after) = (Timestamp::from_millis(0), Timestamp::from_millis(4_000_000_000_000));
    let validity = Validity { not_before, not_after };
    let root = Issuer::make_root(signer, &domain, validity).unwrap();
    let server = SigningKey::generate().unwrap();
    let issued = root
        .issue_server(&"plane".parse().unwrap(), &["localhost".into()], server.public_key(), validity)
        .unwrap();
    assert!(RootCa::from_pem(&root.certificate_pem()).is_ok());
    assert!(trust::tls::server_config(issued.chain, &server).is_ok());
    let own = trust::tls::self_signed(signer).unwrap();
    let config: ServerConfig = trust::tls::public_server_config(vec![own.clone()], signer).unwrap();
    shake_hands(config);
    assert!(trust::tls::public_server_config(vec![own], &server).is_err(), "another key's certificate");
    let request = trust::ca::make_csr(signer).unwrap();
    assert_eq!(trust::ca::read_csr(&request).unwrap(), *signer.public_key());
}

/// A TLS handshake in memory: the client checks the signature that the token made.
fn shake_hands(config: ServerConfig) {
    let name = "localhost".try_into().unwrap();
    let config_of_client = trust::tls::unverified_client_config().unwrap();
    let mut client = rustls::ClientConnection::new(config_of_client.into(), name).unwrap();
    let mut server = rustls::ServerConnection::new(config.into()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}
