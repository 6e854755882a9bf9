//! A federation backed up under its running server, restored, verified, and served again; and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use clap::Parser as _;
use serde_json::Value;

use super::*;
use crate::cli::Cli;
use crate::commands::doctor::tests::Made as Federation;
use crate::connect::ConnectArgs;

async fn said(line: &str, paths: &[&Path]) -> Result<Value, Failure> {
    let words = line.split(' ').map(|word| match word.strip_prefix('@') {
        Some(index) => paths[index.parse::<usize>().unwrap()].as_os_str().to_owned(),
        None => word.into(),
    });
    let cli = Cli::try_parse_from(std::iter::once("fedplane".into()).chain(words)).unwrap();
    let (out, captured) = Output::captured(true);
    cli.command.run(&out).await?;
    Ok(serde_json::from_str(&captured.text()).unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn lg_1_lg_3_a_backup_under_a_running_server_is_restored_verified_and_served() {
    let federation = Federation::new();
    let running = federation.serve().await;
    let (fed, place) = (federation.folder(), federation.place.path());
    let (backup, into) = (place.join("backup"), place.join("restored"));
    let made = said("backup @0 --federation @1 --with-keys", &[&backup, fed.path()]).await.unwrap();
    assert!(made["entries"].as_u64().unwrap() > 0, "{made}");
    let status = said("status --federation @0", &[fed.path()]).await.unwrap();
    assert_eq!(
        (&status["trust_domain"], &status["red_switch"]),
        (&"test.internal".into(), &false.into()),
        "{status}"
    );
    assert_eq!(
        (&status["escalations"]["waiting"], &status["rollouts"]),
        (&0.into(), &Value::Array(vec![])),
        "{status}"
    );
    assert!(
        status["checkpoint"]["size"].as_u64().unwrap() > 0 && status["server"]["ready"].is_boolean(),
        "{status}"
    );
    let client = ConnectArgs::of(fed.path()).client().unwrap();
    let entries = client.federation().await.unwrap().ledger;
    assert!(entries >= made["entries"].as_u64().unwrap());
    running.stop().await;
    let refused = said("backup @0 --federation @1", &[&backup, fed.path()]).await.unwrap_err();
    assert_eq!(refused.code(), "folder-not-empty");

    let restored = said("restore @0 --into @1", &[&backup, &into]).await.unwrap();
    assert!(
        restored["verified"].as_u64().unwrap() > 0 && restored["missing_keys"] == Value::Array(vec![]),
        "{restored}"
    );
    let refused = said("restore @0 --into @1", &[&backup, &into]).await.unwrap_err();
    assert_eq!(refused.code(), "folder-not-empty");
    for (name, expected) in
        [("keys/federation/tokens.key", 0o600), ("data/fedplane.db", 0o600), ("keys.json", 0o644)]
    {
        assert_eq!(mode(&into.join(name)), expected, "{name}");
        assert_eq!(mode(&backup.join(name)), 0o600, "{name}");
    }
    let verified = said("ledger verify --dir @0 --federation @0", &[&into]).await.unwrap();
    assert_eq!(verified["verified"], true);
    // Served from, it is the same federation, and goes on.
    let running = server::start(Settings::load(&Folder::new(&into).settings()).unwrap()).await.unwrap();
    let client = ConnectArgs::of(&into).client().unwrap();
    let served = client.federation().await.unwrap();
    assert_eq!(served.trust_domain, "test.internal");
    assert!(served.ledger >= made["entries"].as_u64().unwrap());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn au_2_no_private_key_is_in_a_backup_unless_it_was_asked_for() {
    let federation = Federation::new();
    federation.serve().await.stop().await;
    let (fed, place) = (federation.folder(), federation.place.path());
    let (backup, into) = (place.join("backup"), place.join("restored"));
    said("backup @0 --federation @1", &[&backup, fed.path()]).await.unwrap();
    for path in below(&backup).unwrap() {
        let text = fs::read(backup.join(&path)).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("PRIVATE KEY-----"), "{}", path.display());
    }
    let restored = said("restore @0 --into @1", &[&backup, &into]).await.unwrap();
    assert_eq!(restored["missing_keys"].as_array().unwrap().len(), 7, "{restored}");
    assert!(restored["missing_keys"][0].as_str().unwrap().starts_with(into.to_str().unwrap()), "{restored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lg_3_a_backup_that_was_changed_is_not_restored() {
    let federation = Federation::new();
    federation.serve().await.stop().await;
    let (fed, place) = (federation.folder(), federation.place.path());
    let (backup, into) = (place.join("backup"), place.join("restored"));
    said("backup @0 --federation @1", &[&backup, fed.path()]).await.unwrap();
    let restore = || async { said("restore @0 --into @1", &[&backup, &into]).await };
    // A file that changed, one that is gone, a link in its place.
    let keys = backup.join("keys.json");
    let good = fs::read(&keys).unwrap();
    fs::write(&keys, [&good[..], b" "].concat()).unwrap();
    assert_eq!(restore().await.unwrap_err().code(), "backup-damaged");
    fs::remove_file(&keys).unwrap();
    assert_eq!(restore().await.unwrap_err().code(), "backup-damaged");
    std::os::unix::fs::symlink(fed.keys(), &keys).unwrap();
    assert_eq!(restore().await.unwrap_err().code(), "backup-damaged");
    fs::remove_file(&keys).unwrap();
    fs::write(&keys, &good).unwrap();
    // Other root keys than those of the ledger.
    let stranger = place.join("stranger.json");
    let other = crate::commands::init::tests::options(place.join("other"));
    crate::commands::init::create(&other).unwrap();
    fs::copy(place.join("other/founder.json"), &stranger).unwrap();
    let refused = said("restore @0 --into @1 --root @2", &[&backup, &into, &stranger]).await.unwrap_err();
    assert_eq!(refused.code(), "ledger-breach", "{refused}");
    // A manifest that leads elsewhere, and one of another form.
    let path = backup.join(MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"keys.json\"", "\"../keys.json\"")).unwrap();
    assert_eq!(restore().await.unwrap_err().code(), "malformed");
    fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert_eq!(restore().await.unwrap_err().code(), "malformed");
    // The digest made right again, the ledger is not.
    let checkpoint = backup.join("data/ledger/checkpoint");
    let shown = fs::read_to_string(&checkpoint).unwrap();
    let size = shown.lines().nth(1).unwrap();
    let forged = shown.replacen(&format!("\n{size}\n"), "\n1\n", 1);
    let (_, before) = measure(&checkpoint).unwrap();
    fs::write(&checkpoint, &forged).unwrap();
    let (bytes, after) = measure(&checkpoint).unwrap();
    let length = format!("\"bytes\": {}", shown.len());
    let text = text.replace(&before, &after).replace(&length, &format!("\"bytes\": {bytes}"));
    fs::write(&path, &text).unwrap();
    assert_eq!(restore().await.unwrap_err().code(), "backup-damaged", "the manifest tells of another");
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["checkpoint"] = forged.into();
    fs::write(&path, manifest.to_string()).unwrap();
    assert_eq!(restore().await.unwrap_err().code(), "ledger-breach");
    // Without a checkpoint nothing is verified: whoever gives root keys is not told that it was.
    manifest["checkpoint"] = serde_json::Value::Null;
    manifest["files"].as_array_mut().unwrap().retain(|kept| kept["path"] != "data/ledger/checkpoint");
    fs::write(&path, manifest.to_string()).unwrap();
    let own = fed.founder();
    let refused = said("restore @0 --into @1 --root @2", &[&backup, &into, &own]).await.unwrap_err();
    assert_eq!(refused.code(), "backup-damaged", "{refused}");
    // A folder that a link leads out by.
    let tuf = backup.join("tuf");
    fs::rename(&tuf, place.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(place.join("elsewhere"), &tuf).unwrap();
    assert_eq!(restore().await.unwrap_err().code(), "backup-damaged");
    assert!(!into.exists(), "nothing is left");
    assert!(is_of_before("keys.3.json") && is_of_before("founder.12.json") && !is_of_before("keys.json"));
    assert!(!is_of_before("keys.x.json") && !is_of_before("keys..json"));
}
