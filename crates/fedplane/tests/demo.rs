//! Plays `fedplane demo --json` as a newcomer would, and checks what it prints and what it leaves behind.

mod common;

use common::{demo, rollout};
use serde_json::json;

#[test]
fn the_whole_story_happens_and_nothing_is_left_running() {
    let played = demo(&[]);
    let summary = played.summary();
    assert_eq!(summary["instances"], 20, "{summary}");
    assert_eq!(summary["states"], json!({"active": 18, "suspended": 1, "revoked": 1}), "{summary}");
    let phases: Vec<_> = ["0.1.0", "0.1.1", "0.1.2", "0.1.3"]
        .map(|release| rollout(&summary, release)["phase"].clone())
        .into();
    assert_eq!(phases, ["done", "done", "halted", "done"], "{summary}");
    let good = rollout(&summary, "0.1.1");
    assert_eq!(
        [&good["offered"], &good["installed"], &good["failed"], &good["rolled_back"]],
        [20, 20, 0, 0],
        "{good}"
    );
    let broken = rollout(&summary, "0.1.2");
    assert!(
        broken["failed"].as_u64() >= Some(1) && broken["installed"].as_u64() >= Some(1),
        "RO-3: {broken}"
    );
    let back = broken["failed"].as_u64().unwrap() + broken["installed"].as_u64().unwrap();
    assert_eq!(broken["rolled_back"], back, "RO-3: {broken}");
    let security = rollout(&summary, "0.1.3");
    assert_eq!([&security["offered"], &security["installed"]], [20, 19], "RO-5, CO-3: {security}");
    assert_eq!(summary["ledger"]["verified"], true, "LG-3: {summary}");
    assert!(summary["ledger"]["entries"].as_u64() > Some(300), "{summary}");
    assert!(summary["seconds"].as_f64() < Some(120.0), "{summary}");
    let keys: Vec<_> = summary.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    for rule in [
        "LC-1 ", "LC-2 ", "LC-3 ", "LC-4 ", "LC-5 ", "LC-7 ", "LC-10", "LC-12", "LC-14", "RO-1 ", "RO-3 ",
        "RO-4 ",
    ] {
        assert!(played.told.contains(&format!(" s  {rule} ")), "no line of {rule}: {}", played.told);
    }
    played.nothing_is_left();
}
