//! Kills the plane with SIGKILL in the middle of a rollout of the demo, with twenty agents at work, and starts it again.
//!
//! The demo itself compares: every ledger entry that was shown before is there after, byte for byte; every enrolment that
//! was granted up to the kill and every version statement that an agent holds for acknowledged is on record; the rollout
//! goes on to its end; the ledger verifies.

mod common;

use common::{demo, rollout};

#[test]
fn lg_1_no_acknowledged_decision_is_lost_when_the_plane_is_killed() {
    let played = demo(&["--crash"]);
    let summary = played.summary();
    assert_eq!(summary["ledger"]["verified"], true, "LG-3: {summary}");
    let good = rollout(&summary, "0.1.1");
    assert_eq!((&good["phase"], &good["installed"]), (&"done".into(), &20.into()), "{good}");
    assert_eq!(summary["states"]["active"], 18, "{summary}");
    assert!(played.told.contains("is killed (SIGKILL)"), "{}", played.told);
    played.nothing_is_left();
}
