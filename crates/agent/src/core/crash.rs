//! Drives plan and journal against a world that can be switched off before or after every act and every write.

use governance::{Digest, LayerContent, Package, Span, Timestamp, Version, Window};
use proof::OfferAction;

use super::journal::{Attempt, Installed, Journal, Step};
use super::plan::{Action, Conclusion, Effect, Outcome, Timing, Weighed, conclude, plan};

const TIMING: Timing = Timing {
    health_every: Span::from_millis(100),
    start_within: Span::from_millis(1_000),
    stable_for: Span::from_millis(500),
    rollback_tries_max: 3,
};
/// The deployment window: closed when a world begins, and open long enough for whatever follows.
const WINDOW: Window =
    Window { from: Timestamp::from_millis(1_000_500), until: Timestamp::from_millis(9_000_000) };
/// Far more steps than any attempt takes.
const STEPS_MAX: u32 = 400;

fn version(patch: u32) -> Version {
    Version::new(0, 1, patch)
}

fn installed(patch: u32) -> Installed {
    let layer = LayerContent { id: format!("TIS-A-v0.1.{patch}").parse().unwrap(), digest: Digest::of(b"a") };
    Installed { platform: version(patch), runtime: version(0), layers: vec![layer] }
}

fn attempt() -> Attempt {
    Attempt {
        target: installed(1),
        previous: version(0),
        action: OfferAction::Update,
        serial: 3,
        package: Package { name: "package-0.1.1".to_owned(), digest: Digest::of(b"x"), length: 1 },
        deadline: None,
    }
}

/// How the new release behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conduct {
    Good,
    BindFails,
    NeverHealthy,
    /// Healthy for its first checks only.
    LosesHealth,
    /// Runs, but is another version than it should be.
    WrongVersion,
    /// Bad, and going back fails at first.
    RollbackFailsTwice,
    /// Bad, and going back always fails.
    RollbackFails,
}

/// What the plane was told, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Begin,
    Succeeded,
    Failed,
}

/// Everything that outlives the agent's process.
struct World {
    conduct: Conduct,
    clock: i64,
    /// What the service runs; nothing while a bind is half done.
    runs: Option<Version>,
    packages: bool,
    binds: u32,
    checks: u32,
    rollbacks: u32,
    heard: Vec<Heard>,
    /// The journal on disk.
    disk: Journal,
    /// Acts and writes left until the power goes.
    power: Option<u32>,
}

/// The power is gone.
struct Dark;

impl World {
    fn new(conduct: Conduct, power: Option<u32>) -> Self {
        Self {
            conduct,
            clock: 1_000_000,
            runs: Some(version(0)),
            packages: false,
            binds: 0,
            checks: 0,
            rollbacks: 0,
            heard: Vec::new(),
            disk: Journal::new(installed(0)),
            power,
        }
    }

    /// One point at which the power can go.
    fn spend(&mut self) -> Result<(), Dark> {
        match &mut self.power {
            Some(0) => {
                self.power = None;
                Err(Dark)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn save(&mut self, journal: &Journal) -> Result<(), Dark> {
        self.spend()?;
        self.disk = journal.clone();
        self.spend()
    }

    fn act(&mut self, effect: Effect) -> Result<Outcome, Dark> {
        self.spend()?;
        let outcome = match effect {
            Effect::Download => {
                self.packages = true;
                Outcome::Done
            }
            Effect::Begin => {
                assert!(self.clock >= WINDOW.from.as_millis(), "begun before the window opened (RO-7)");
                self.hear(Heard::Begin)
            }
            Effect::Bind => {
                assert!(self.packages, "bound without a package");
                assert_eq!(self.heard.last(), Some(&Heard::Begin), "bound before the plane was told");
                self.binds += 1;
                self.runs = None;
                self.spend()?;
                match self.conduct {
                    Conduct::BindFails => Outcome::Failed("exit 1".to_owned()),
                    Conduct::WrongVersion => {
                        self.runs = Some(version(7));
                        Outcome::Done
                    }
                    _ => {
                        self.runs = Some(version(1));
                        Outcome::Done
                    }
                }
            }
            Effect::CheckHealth => self.health(),
            Effect::RollBack => {
                self.rollbacks += 1;
                self.runs = None;
                self.spend()?;
                let tries = match self.conduct {
                    Conduct::RollbackFailsTwice => 2,
                    Conduct::RollbackFails => u32::MAX,
                    _ => 0,
                };
                if self.rollbacks <= tries {
                    Outcome::Failed("exit 1".to_owned())
                } else {
                    self.runs = Some(version(0));
                    Outcome::Done
                }
            }
            Effect::ReportSuccess => {
                assert_eq!(self.runs, Some(version(1)), "claims a version that does not run");
                self.hear(Heard::Succeeded)
            }
            Effect::ReportFailure => self.hear(Heard::Failed),
        };
        self.spend()?;
        Ok(outcome)
    }

    fn health(&mut self) -> Outcome {
        self.checks += 1;
        let sick = match self.conduct {
            Conduct::NeverHealthy | Conduct::RollbackFails | Conduct::RollbackFailsTwice => {
                self.runs == Some(version(1))
            }
            Conduct::LosesHealth => self.runs == Some(version(1)) && self.checks > 3,
            _ => false,
        };
        match self.runs {
            Some(version) if !sick => Outcome::Running(version),
            _ => Outcome::Failed("not healthy".to_owned()),
        }
    }

    /// The plane takes a repeated word as the same word.
    fn hear(&mut self, word: Heard) -> Outcome {
        if self.heard.last() != Some(&word) {
            self.heard.push(word);
        }
        Outcome::Done
    }

    /// The agent's process, from its start until it rests or the power goes.
    fn run(&mut self, steps: &mut u32) -> Result<(), Dark> {
        let mut journal = self.disk.clone().recovered(Timestamp::from_millis(self.clock));
        let offer = attempt();
        loop {
            *steps += 1;
            assert!(*steps < STEPS_MAX, "no end in sight: {:?}", journal.upgrade);
            let open = journal.failed_before(offer.release(), offer.serial).is_none()
                && journal.installed.platform != offer.release();
            let weighed = if open { Weighed::Accepted(offer.clone()) } else { Weighed::Nothing };
            let now = Timestamp::from_millis(self.clock);
            let event = match plan(&journal, &weighed, Some(WINDOW), now) {
                Action::Rest => return Ok(()),
                Action::Wait(closed) => {
                    self.spend()?;
                    self.clock = closed.opens.as_millis();
                    continue;
                }
                Action::Record(event) => event,
                Action::Do(effect, attempt) => {
                    let outcome = self.act(effect)?;
                    let now = Timestamp::from_millis(self.clock);
                    match conclude(&journal, effect, &attempt, outcome, &TIMING, now) {
                        Conclusion::Record(event) => event,
                        Conclusion::Wait(span) => {
                            self.clock += span.as_millis();
                            continue;
                        }
                        Conclusion::Retry(why) => panic!("nothing fails for a while here: {why}"),
                    }
                }
            };
            journal = journal.apply(&event).unwrap();
            self.save(&journal)?;
        }
    }
}

/// Runs the agent with the power going at every point there is, once and (`twice`) again soon after; in the end it
/// rests with one whole version running, the plane has heard what happened, and nothing was bound twice.
fn check(conduct: Conduct, ends: &[(Option<u32>, Heard)]) {
    let mut points = 0;
    for first in 0.. {
        let mut lasted = false;
        for second in [None, Some(0), Some(1), Some(2), Some(5)] {
            let mut world = World::new(conduct, Some(first));
            let mut steps = 0;
            let mut again = second;
            while world.run(&mut steps).is_err() {
                world.power = again.take();
                points += 1;
            }
            lasted |= world.power.is_some() && second.is_none();
            let at = format!("{conduct:?}, power gone at {first}, then {second:?}: {:?}", world.heard);
            assert!(world.disk.upgrade.is_none(), "{at}");
            assert!(world.binds <= 1, "{at}: bound {} times", world.binds);
            assert_eq!(world.heard.len(), 2, "{at}");
            assert_eq!(world.heard.first(), Some(&Heard::Begin), "{at}");
            let end = (world.runs.map(|version| version.patch), world.heard[1]);
            assert!(ends.contains(&end), "{at}: {end:?}");
            if world.runs.is_some() {
                let told = world.disk.installed.platform;
                assert_eq!(Some(told), world.runs, "{at}: the journal knows what runs");
            }
            assert_eq!(world.disk.doubt, world.runs.is_none(), "{at}");
            assert_eq!(world.disk.failures.is_empty(), world.heard[1] == Heard::Succeeded, "{at}");
        }
        if lasted {
            break;
        }
    }
    assert!(points > 20, "the power went {points} times");
}

#[test]
fn rl_2_the_power_may_go_at_any_point_of_any_attempt() {
    use Conduct::*;
    let back = (Some(0), Heard::Failed);
    // A good release cut short while binding goes back, or stays when it proves to run.
    check(Good, &[(Some(1), Heard::Succeeded), back]);
    check(BindFails, &[back]);
    check(NeverHealthy, &[back]);
    check(LosesHealth, &[back]);
    check(WrongVersion, &[back]);
    check(RollbackFailsTwice, &[back]);
    check(RollbackFails, &[(None, Heard::Failed)]);
}

#[test]
fn a_good_release_left_alone_succeeds_once() {
    let mut world = World::new(Conduct::Good, None);
    let mut steps = 0;
    assert!(world.run(&mut steps).is_ok());
    assert_eq!(world.heard, [Heard::Begin, Heard::Succeeded]);
    assert_eq!(world.disk.installed, installed(1));
    assert!(world.checks >= 5, "health was watched for its time: {}", world.checks);
}

/// A journal in the middle of an attempt.
fn at(step: Step) -> Journal {
    let mut journal = Journal::new(installed(0));
    journal.upgrade = Some(super::journal::Upgrade { attempt: attempt(), at: step });
    journal
}

#[test]
fn an_offer_that_ends_before_the_attempt_begins_ends_the_attempt() {
    use super::journal::Event;
    use Weighed::{Accepted, NotYet, Nothing};
    let now = Timestamp::from_millis(0);
    let renewed = Attempt { serial: 4, deadline: Some(now), ..attempt() };
    let other = Attempt { serial: 4, target: installed(2), ..attempt() };
    for (step, offer, expected) in [
        (Step::Downloaded, Accepted(attempt()), Action::Do(Effect::Begin, attempt())),
        (Step::Downloaded, Nothing, Action::Record(Event::Withdrawn)),
        (Step::Downloaded, NotYet, Action::Rest),
        (Step::Downloaded, Accepted(renewed.clone()), Action::Record(Event::Downloaded(renewed))),
        (Step::Downloaded, Accepted(other), Action::Record(Event::Withdrawn)),
        (Step::Began, Nothing, Action::Record(Event::BindingBegun)),
        (Step::Bound { since: now }, Nothing, Action::Do(Effect::CheckHealth, attempt())),
        (Step::Proven, Nothing, Action::Do(Effect::ReportSuccess, attempt())),
    ] {
        assert_eq!(plan(&at(step.clone()), &offer, None, now), expected, "{step:?}");
    }
}

#[test]
fn ro_7_an_update_is_begun_inside_the_window_or_before_a_deadline_that_comes_sooner() {
    use OfferAction::{Remediation, Rollback, Update};
    let at_millis = Timestamp::from_millis;
    let check = |step: Step, action, deadline: Option<i64>, now: i64, waits: bool| {
        let asked = Attempt { action, deadline: deadline.map(at_millis), ..attempt() };
        let mut journal = at(step.clone());
        journal.upgrade.as_mut().unwrap().attempt = asked.clone();
        let found = plan(&journal, &Weighed::Accepted(asked), Some(WINDOW), at_millis(now));
        assert_eq!(
            matches!(found, Action::Wait(closed) if closed.opens == WINDOW.from),
            waits,
            "{step:?} {action:?} due {deadline:?} at {now}: {found:?}"
        );
    };
    check(Step::Downloaded, Update, None, 1_000_499, true);
    check(Step::Downloaded, Update, None, 1_000_500, false);
    check(Step::Downloaded, Update, None, 9_000_000, false);
    check(Step::Downloaded, Update, Some(1_000_499), 0, false);
    check(Step::Downloaded, Update, Some(1_000_500), 0, true);
    check(Step::Downloaded, Rollback, None, 0, false);
    check(Step::Downloaded, Remediation, None, 0, false);
    // Begun, it is carried through.
    check(Step::Began, Update, None, 0, false);
    check(Step::Bound { since: at_millis(0) }, Update, None, 0, false);
    let rest = Journal::new(installed(0));
    let offer = Weighed::Accepted(attempt());
    let found = plan(&rest, &offer, Some(WINDOW), at_millis(0));
    assert_eq!(found, Action::Do(Effect::Download, attempt()), "fetched before the window opens");
}

#[test]
fn refusals_and_silence_of_the_plane_lose_nothing() {
    use super::journal::Event;
    let no = || Outcome::Refused("no".to_owned());
    let dark = || Outcome::Unreachable("dark".to_owned());
    let retry = || Conclusion::Retry("dark".to_owned());
    let rolled = Step::RolledBack { reason: "bad".to_owned(), clean: true };
    for (step, effect, outcome, expected) in [
        (Step::Downloaded, Effect::Begin, no(), Conclusion::Record(Event::Withdrawn)),
        (Step::Downloaded, Effect::Begin, dark(), retry()),
        (Step::Proven, Effect::ReportSuccess, no(), Conclusion::Record(Event::SuccessReported)),
        (Step::Proven, Effect::ReportSuccess, dark(), retry()),
        (rolled.clone(), Effect::ReportFailure, no(), Conclusion::Record(Event::FailureReported)),
        (rolled, Effect::ReportFailure, dark(), retry()),
    ] {
        let found = conclude(&at(step), effect, &attempt(), outcome, &TIMING, Timestamp::from_millis(0));
        assert_eq!(found, expected, "{effect:?}");
    }
}

#[test]
fn a_clock_that_jumps_ends_no_wait_late() {
    use super::journal::Event;
    let check = |step: Step, now: i64, outcome: Outcome, waits: bool| {
        let found = conclude(
            &at(step.clone()),
            Effect::CheckHealth,
            &attempt(),
            outcome,
            &TIMING,
            Timestamp::from_millis(now),
        );
        assert_eq!(matches!(found, Conclusion::Wait(_)), waits, "{step:?} at {now}: {found:?}");
        assert!(waits || matches!(found, Conclusion::Record(Event::Proven | Event::RollbackBegun(_))));
    };
    let since = Timestamp::from_millis(1_000_000);
    let good = || Outcome::Running(version(1));
    let bad = || Outcome::Failed("down".to_owned());
    check(Step::Healthy { since }, 1_000_499, good(), true);
    check(Step::Healthy { since }, 1_000_500, good(), false);
    check(Step::Bound { since }, 1_000_999, bad(), true);
    check(Step::Bound { since }, 1_001_000, bad(), false);
    check(Step::Bound { since }, 500_000, bad(), false);
}

#[test]
fn events_out_of_order_change_nothing() {
    use super::journal::Event;
    for (step, event) in [
        (Step::Downloaded, Event::BindingBegun),
        (Step::Began, Event::Withdrawn),
        (Step::Binding, Event::Proven),
        (Step::Proven, Event::RollbackBegun("no".to_owned())),
        (Step::RolledBack { reason: String::new(), clean: true }, Event::SuccessReported),
    ] {
        assert!(at(step).apply(&event).is_err(), "{event:?}");
    }
    assert!(Journal::new(installed(0)).apply(&Event::Began).is_err());
}
