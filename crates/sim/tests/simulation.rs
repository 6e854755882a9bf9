//! Simulations: the same seed gives the same fleet, whatever the threads and the pace, and every invariant that is broken on
//! purpose is found.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use governance::{
    Digest, FindingCode, Instance, InstanceEvent, OfferEnd, State, Timestamp, Version, WorldEvent,
};
use sim::simulation::{Options, PROFILES, Pace, Profile, Summary, Tamper, TamperWorld, report, simulate};

/// A small fleet in which much happens.
fn options(seed: u64) -> Options {
    let harsh: Profile = "harsh".parse().unwrap();
    let profile = Profile { clones: 500, forks: 1_000, runtime_mishaps: 500, refusing: 1_500, ..harsh };
    Options { profile, ..Options::new(120, 70, seed) }
}

/// The same, said by the first part that differs.
fn assert_same(found: &Summary, expected: &Summary, what: &str) {
    let parts = |summary: &Summary| {
        let lists = format!("{:?} {:?} {:?}", summary.findings, summary.transitions, summary.escalations);
        [
            format!("{:?}", summary.rollouts),
            lists,
            format!("{:?}", (summary.events, summary.audits, &summary.refusals, summary.unpacked)),
        ]
    };
    for (found, expected) in parts(found).iter().zip(parts(expected)) {
        assert_eq!(*found, expected, "{what}");
    }
    assert!(found == expected, "{what}: the days differ");
}

fn run(options: &Options) -> Summary {
    simulate(options, &mut |_| {}).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_and_another_another() {
    let first = run(&options(7));
    assert_eq!(first.breach, None);
    assert_same(&run(&options(7)), &first, "the same seed");
    assert_ne!(first.transitions, run(&options(8)).transitions);
}

#[test]
fn threads_change_nothing() {
    let one = run(&options(3));
    for threads in [2, 3, 16] {
        assert_same(&run(&Options { threads, ..options(3) }), &one, &format!("{threads} threads"));
    }
}

/// The calendar leaves an instance alone until something may be due; looking every hour finds nothing more.
#[test]
fn looking_every_hour_finds_the_same() {
    let calendar = run(&options(5));
    let mut hourly = run(&Options { pace: Pace::Hourly, ..options(5) });
    assert!(hourly.audits > calendar.audits * 2, "{} and {}", hourly.audits, calendar.audits);
    assert!(calendar.quiet > 0 && hourly.quiet == 0);
    (hourly.audits, hourly.quiet) = (calendar.audits, calendar.quiet);
    assert_same(&hourly, &calendar, "every hour");
}

/// Sweeps pass over whoever is like one that was opened; opening everybody finds the same, over majors, halts, pauses and
/// resumptions too. Debug builds open every record that is passed over, and look for themselves.
#[test]
fn opening_everybody_in_sweeps_finds_the_same() {
    // Among them an owner who makes up his mind after the deadline, an instance that is restored, and a freeze that ends.
    for (seed, days, profile) in
        [(4, 130, "realistic"), (12, 130, "harsh"), (51, 130, "harsh"), (3, 365, "realistic")]
    {
        let options = Options { profile: profile.parse().unwrap(), ..Options::new(300, days, seed) };
        let calendar = run(&options);
        let mut hourly = run(&Options { pace: Pace::Hourly, ..options });
        // More than the days of all that they only repeat themselves on.
        assert!(calendar.quiet > calendar.joined * u64::from(days) / 2, "{}", calendar.quiet);
        (hourly.audits, hourly.quiet) = (calendar.audits, calendar.quiet);
        assert_same(&hourly, &calendar, profile);
    }
}

#[test]
fn every_profile_plays_through_and_the_fleet_is_all_there() {
    for profile in PROFILES {
        let summary = run(&Options { profile: *profile, ..Options::new(80, 45, 11) });
        assert_eq!(summary.breach, None, "{profile}");
        assert_eq!(summary.states.iter().map(|row| row.instances).sum::<u64>(), summary.joined);
        assert!(summary.joined <= 80 && summary.joined > 70, "{profile}: {}", summary.joined);
        let opened: u64 = summary.findings.iter().map(|row| row.opened).sum();
        assert_eq!(opened == 0, profile.name == "none", "{profile}: {opened} findings");
        let page = report::page(&summary, "fedplane simulate");
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{profile}");
        assert!(!page.contains("src=") && !page.contains("href=\"http"), "a page asks nobody for anything");
    }
}

#[test]
fn a_page_has_room_for_how_a_rollout_ended_and_no_table_of_nothing() {
    let profile = PROFILES.iter().find(|profile| profile.name == "harsh").unwrap();
    let mut summary = run(&Options { profile: *profile, ..Options::new(80, 45, 11) });
    let ends_at = |page: &str, text: &str| {
        let line = page.split("<text ").find(|line| line.contains(text)).unwrap();
        let x: f64 = line.split('"').nth(1).unwrap().parse().unwrap();
        let letters = u32::try_from(text.chars().count()).unwrap();
        // About the widest font in use needs 5.8 for a letter.
        x + 6.0 * f64::from(letters)
    };
    let row = &mut summary.rollouts[0];
    (row.phase, row.offered, row.installed, row.failed, row.stalled) =
        ("withdrawn", 900_000, 169_000, 113_000, 0);
    let page = report::page(&summary, "fedplane simulate");
    let end = ends_at(&page, "withdrawn: 169\u{202f}000 installed, 113\u{202f}000 failed");
    assert!(end <= 1_000.0, "{end}");
    assert!(page.contains("escalated under"));
    summary.escalations.clear();
    let page = report::page(&summary, "fedplane simulate");
    assert!(!page.contains("escalated under") && page.contains("Nothing was put before the Founder."));
}

/// An instance that is one of few, so that the fleet gets somewhere before it is tampered with.
fn is_chosen(instance: &Instance) -> bool {
    instance.id.as_bytes()[0] < 64
}

fn breaks(invariant: &str, tamper: Option<Tamper>, tamper_world: Option<TamperWorld>) {
    let options = Options { tamper, tamper_world, ..options(5) };
    let summary = run(&options);
    let breach = summary.breach.clone().unwrap_or_else(|| panic!("{invariant} was broken and not found"));
    assert_eq!(breach.invariant, invariant, "{breach:?}");
    assert_eq!(breach.instance.is_some(), tamper.is_some(), "{breach:?}");
    // It is found again in the same place, whatever the threads.
    assert_eq!(run(&Options { threads: 2, ..options }).breach, Some(breach));
}

#[test]
fn in_1_a_changed_capability_is_found() {
    breaks(
        "IN-1",
        Some(|instance, events| {
            for event in events {
                if let InstanceEvent::Reported { running, .. } = event
                    && running.platform != instance.running.platform
                {
                    let own = running.layers.last_mut().unwrap();
                    own.digest = Digest::of(b"a capability that the update changed");
                }
            }
        }),
        None,
    );
}

#[test]
fn in_2_a_release_without_a_way_back_is_found() {
    breaks(
        "IN-2",
        None,
        Some(|events| {
            for event in events {
                if let WorldEvent::ReleasePublished { release, .. } = event {
                    release.rollback = None;
                }
            }
        }),
    );
}

#[test]
fn in_3_a_fork_that_nobody_records_is_found() {
    breaks(
        "IN-3",
        Some(|_, events| {
            events.retain(|event| {
                !matches!(event, InstanceEvent::FindingOpened { code: FindingCode::UnauthorisedFork })
            });
        }),
        None,
    );
}

#[test]
fn in_4_a_directive_that_changes_what_runs_is_found() {
    breaks(
        "IN-4",
        Some(|instance, events| {
            // Where the Federation offers something, it also says that it runs.
            if let Some(InstanceEvent::Offered { release, .. }) = events.last()
                && is_chosen(instance)
            {
                let mut running = instance.running.clone();
                running.platform = *release;
                let (head, domains) = (instance.head.unwrap(), Vec::new());
                events.push(InstanceEvent::Reported { head, running, domains });
            }
        }),
        None,
    );
}

#[test]
fn in_5_an_offer_of_what_was_never_published_is_found() {
    breaks(
        "IN-5",
        Some(|instance, events| {
            for event in events {
                if let InstanceEvent::Offered { release, .. } = event
                    && is_chosen(instance)
                {
                    *release = Version::new(9, 9, 9);
                }
            }
        }),
        None,
    );
}

#[test]
fn in_5_a_release_that_the_organism_did_not_sign_is_found() {
    breaks(
        "IN-5",
        None,
        Some(|events| {
            for event in events {
                if let WorldEvent::ReleasePublished { digest, .. } = event {
                    *digest = Digest::of(b"signed by somebody else");
                }
            }
        }),
    );
}

#[test]
fn in_6_a_way_out_of_revoked_without_an_order_is_found() {
    breaks(
        "IN-6",
        Some(|instance, events| {
            let revoked =
                |event: &InstanceEvent| matches!(event, InstanceEvent::Moved { to: State::Revoked, .. });
            if instance.state == State::Revoked && !events.iter().any(revoked) && events.is_empty() {
                let cause = governance::Cause::FounderRestored;
                events.push(InstanceEvent::Moved { from: State::Revoked, to: State::Suspended, cause });
            }
        }),
        None,
    );
}

#[test]
fn in_7_a_finding_for_lack_of_what_was_never_offered_is_found() {
    breaks(
        "IN-7",
        Some(|instance, events| {
            let settled = events.is_empty() && instance.due.is_none() && instance.findings.is_empty();
            if settled && instance.state == State::Active && is_chosen(instance) {
                events.push(InstanceEvent::FindingOpened { code: FindingCode::VersionDrift });
            }
        }),
        None,
    );
}

#[test]
fn in_7_a_due_that_rests_on_no_offer_is_found() {
    breaks(
        "IN-7",
        Some(|instance, events| {
            // The offer is withdrawn from the record behind the finding's back, and the finding is kept open.
            let lacks = [FindingCode::VersionDrift, FindingCode::SecurityPatchOverdue];
            let opens = events
                .iter()
                .any(|event| matches!(event, InstanceEvent::FindingOpened { code } if lacks.contains(code)));
            events.retain(
                |event| !matches!(event, InstanceEvent::FindingClosed { code } if lacks.contains(code)),
            );
            if opens && let Some(due) = instance.due {
                events.push(InstanceEvent::DueEnded { release: due.release, why: OfferEnd::Ended });
            }
        }),
        None,
    );
}

#[test]
fn a_breach_says_where_and_when() {
    let tamper: Tamper = |_, events| {
        events.retain(|event| {
            !matches!(event, InstanceEvent::FindingOpened { code: FindingCode::UnauthorisedFork })
        });
    };
    let breach = run(&Options { tamper: Some(tamper), ..options(2) }).breach.unwrap();
    assert!(breach.day >= 1 && breach.day <= 70, "{breach:?}");
    let start = Timestamp::from_millis(sim::simulation::START);
    let day = breach.at.since(start).as_millis() / 86_400_000 + 1;
    assert_eq!(day, i64::from(breach.day), "{breach:?}");
    assert!(breach.step.unwrap() > 0 && breach.number.unwrap() < 120, "{breach:?}");
}
