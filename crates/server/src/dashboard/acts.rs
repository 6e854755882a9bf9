//! The acts: each is asked for with its consequence in numbers, then done by the same use case as the API's (AU-1).

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect};
use dashboard::Section;
use dashboard::confirm::Question;
use dashboard::rollout::Rollout;
use dashboard::words::{counted, number};
use governance::decide::Command;
use governance::{InstanceId, Phase, State as InstanceState};
use plane::rollouts::RolloutVerb;
use wire::Acknowledge;

use super::guard::Form;
use super::pages::{chrome, release_of, rollout_of};
use super::sessions::Visit;
use super::{Answer, page};
use crate::app::App;
use crate::problem::Failure;

fn done(to: &str, word: &str) -> Answer {
    Ok(Redirect::to(&format!("{to}?done={word}")).into_response())
}

fn instance_of(text: &str) -> Result<InstanceId, Failure> {
    text.parse()
        .map_err(|_| Failure::not_found(format!("instance {}", text.chars().take(64).collect::<String>())))
}

pub(crate) async fn suspend_asked(State(app): State<App>, visit: Visit, Path(id): Path<String>) -> Answer {
    let id = instance_of(&id)?;
    let view = app.plane.instance_view(id).await?;
    let mut follows = vec![
        "1 instance is suspended: nothing but the cure of a finding is offered to it, and no new token is given to it.".to_owned(),
        "Its clocks stand still until it is reactivated.".to_owned(),
    ];
    if let Some(offer) = &view.offer {
        follows.push(format!("The {} to {} that is on offer to it ends.", offer.action, offer.release));
    }
    let question = Question {
        section: Some(Section::Fleet),
        title: format!("Suspend {}?", name(&view)),
        follows,
        rule: "LC-8",
        action: format!("/instances/{id}/suspend"),
        fields: Vec::new(),
        asks: None,
        yes: "Suspend",
        is_grave: true,
        back: format!("/instances/{id}"),
    };
    page(question.page(&chrome(&app, &visit, None).await?))
}

fn name(view: &wire::InstanceView) -> String {
    view.labels.first().map_or_else(|| view.id.to_string(), ToString::to_string)
}

pub(crate) async fn suspend(State(app): State<App>, visit: Visit, Path(id): Path<String>) -> Answer {
    let id = instance_of(&id)?;
    app.plane.operate(visit.person(), id, Command::Suspend).await?;
    done(&format!("/instances/{id}"), "suspended")
}

pub(crate) async fn reactivate_asked(State(app): State<App>, visit: Visit, Path(id): Path<String>) -> Answer {
    let id = instance_of(&id)?;
    let view = app.plane.instance_view(id).await?;
    let findings = view.findings.len() as u64;
    let mut follows =
        vec!["1 instance is active again: offers and tokens reach it, and its clocks run.".to_owned()];
    if findings > 0 {
        follows.push(format!(
            "{} stand against it: the law lets nobody reactivate it before they are cleared.",
            counted(findings, "finding")
        ));
    }
    if view.state != InstanceState::Suspended {
        follows.push("It is not suspended: the law will refuse this.".to_owned());
    }
    let question = Question {
        section: Some(Section::Fleet),
        title: format!("Reactivate {}?", name(&view)),
        follows,
        rule: "LC-9",
        action: format!("/instances/{id}/reactivate"),
        fields: Vec::new(),
        asks: None,
        yes: "Reactivate",
        is_grave: false,
        back: format!("/instances/{id}"),
    };
    page(question.page(&chrome(&app, &visit, None).await?))
}

pub(crate) async fn reactivate(State(app): State<App>, visit: Visit, Path(id): Path<String>) -> Answer {
    let id = instance_of(&id)?;
    app.plane.operate(visit.person(), id, Command::Reactivate).await?;
    done(&format!("/instances/{id}"), "reactivated")
}

fn verb_of(text: &str) -> Result<RolloutVerb, Failure> {
    match text {
        "pause" => Ok(RolloutVerb::Pause),
        "resume" => Ok(RolloutVerb::Resume),
        "abort" => Ok(RolloutVerb::Abort),
        "approve" => Ok(RolloutVerb::Approve),
        _ => Err(Failure::not_found("such step: one of pause, resume, abort, approve")),
    }
}

pub(crate) async fn steer_asked(
    State(app): State<App>,
    visit: Visit,
    Path((release, verb)): Path<(String, String)>,
) -> Answer {
    let (release, verb) = (release_of(&release)?, verb_of(&verb)?);
    let rollout = rollout_of(&app, &visit, release)?;
    let next = match rollout.record.phase().map(|open| open.phase) {
        None if rollout.record.class == governance::Class::Security => Phase::Ga,
        None => Phase::Canary,
        Some(Phase::Canary) => Phase::Beta,
        Some(_) => Phase::Ga,
    };
    let share = app.plane.constitution(|law| match next {
        Phase::Canary => Some(law.rollout_canary_share),
        Phase::Beta => Some(law.rollout_beta_share),
        Phase::Ga => None,
    });
    let (word, yes, is_grave) = match verb {
        RolloutVerb::Pause => ("pause", "Pause", true),
        RolloutVerb::Resume => ("resume", "Resume", false),
        RolloutVerb::Abort => ("abort", "Abort for good", true),
        RolloutVerb::Approve => ("approve", "Approve", false),
    };
    let question = Question {
        section: Some(Section::Rollouts),
        title: match verb {
            RolloutVerb::Approve => format!("Approve {next} of {release}?"),
            _ => format!("{} the rollout of {release}?", yes.split(' ').next().unwrap_or(yes)),
        },
        follows: follows(&rollout, verb, next, share),
        rule: "RO-6",
        action: format!("/rollouts/{release}/{word}"),
        fields: Vec::new(),
        asks: None,
        yes,
        is_grave,
        back: format!("/rollouts/{release}"),
    };
    page(question.page(&chrome(&app, &visit, None).await?))
}

/// What follows for how many instances.
fn follows(
    rollout: &Rollout,
    verb: RolloutVerb,
    next: Phase,
    share: Option<governance::constitution::Share>,
) -> Vec<String> {
    let Some(counts) = rollout.counts else {
        return vec![
            "This server is still counting how many instances it concerns: look again in a moment, or go on."
                .to_owned(),
        ];
    };
    let inside: u64 = Phase::ALL.iter().map(|phase| counts.phase(*phase).cohort).sum();
    let reached: u64 = Phase::ALL.iter().map(|phase| counts.phase(*phase).reached).sum();
    let open = counted(inside.saturating_sub(reached), "instance");
    let eligible = counts.eligible();
    match verb {
        RolloutVerb::Pause => vec![
            format!("{open} inside the open phases have not finished it: it is offered to them no longer."),
            format!("{} that finished it keep what they run.", counted(reached, "instance")),
            "The time of its phase stands still until it is resumed.".to_owned(),
        ],
        RolloutVerb::Resume => vec![
            format!("{open} inside the open phases are offered it again."),
            format!("Its phases go on, up to {} eligible.", counted(eligible, "instance")),
        ],
        RolloutVerb::Abort => vec![
            format!(
                "{open} inside the open phases are offered it no longer, and {} never are by this rollout.",
                counted(eligible.saturating_sub(inside), "instance")
            ),
            format!("{} that finished it keep what they run.", counted(reached, "instance")),
            "It cannot be taken up again: a newer release would have to replace it.".to_owned(),
        ],
        RolloutVerb::Approve => {
            let share = share.map_or(eligible, |share| share.of_rounded_up(eligible));
            vec![
                format!(
                    "{next} opens at the next sweep with {} of {} eligible instances inside.",
                    number(share),
                    number(eligible)
                ),
                match share.saturating_sub(inside) {
                    0 => "Nobody is offered it then who is not inside already.".to_owned(),
                    1 => "1 instance more is offered it then.".to_owned(),
                    more => format!("{} instances more are offered it then.", number(more)),
                },
            ]
        }
    }
}

pub(crate) async fn steer(
    State(app): State<App>,
    visit: Visit,
    Path((release, word)): Path<(String, String)>,
) -> Answer {
    let (release, verb) = (release_of(&release)?, verb_of(&word)?);
    app.plane.steer(visit.person(), release, verb).await?;
    done(&format!("/rollouts/{release}"), &word)
}

pub(crate) async fn acknowledge(State(app): State<App>, visit: Visit, form: Form) -> Answer {
    let malformed = |why: String| Failure::bad_request("form-malformed", why, "open the page anew");
    let (instance, release) = (form.value("instance"), form.value("release"));
    let instance = match instance {
        "" => None,
        id => Some(instance_of(id)?),
    };
    let release = match release {
        "" => None,
        text => Some(
            text.parse().map_err(|error: governance::version::VersionError| malformed(error.to_string()))?,
        ),
    };
    let what = Acknowledge { rule: form.value("rule").to_owned(), instance, release };
    app.plane.acknowledge(visit.person(), &what).await?;
    done("/escalations", "acknowledged")
}

pub(crate) async fn red_switch_asked(State(app): State<App>, visit: Visit) -> Answer {
    let chrome = chrome(&app, &visit, None).await?;
    let on = chrome.red.on;
    let sums = app.desk.sums(&app.plane).await?;
    let count =
        |state: InstanceState| sums.as_ref().and_then(|sums| sums.states.get(&state).copied()).unwrap_or(0);
    let (pending, all) =
        (count(InstanceState::UpdatePending), sums.as_ref().map_or(0, |sums| sums.instances));
    let open =
        app.plane.world(|world| world.rollouts.iter().filter(|rollout| rollout.is_open()).count() as u64);
    let question = if on {
        Question {
            section: None,
            title: "Turn the red switch off?".to_owned(),
            follows: vec![
                format!("Offers go on: {} run again from where they stood still.", counted(open, "rollout")),
                format!("Any of {} may be offered a release at once.", counted(all, "instance")),
            ],
            rule: "RO-6",
            action: "/red-switch".to_owned(),
            fields: vec![("on".to_owned(), "no".to_owned())],
            asks: Some(("reason", "Why? It stands in the ledger for good.")),
            yes: "Turn it off",
            is_grave: false,
            back: "/".to_owned(),
        }
    } else {
        Question {
            section: None,
            title: "Turn the red switch on?".to_owned(),
            follows: vec![
                format!(
                    "Every offer stops at once: {} have one now, and lose it.",
                    counted(pending, "instance")
                ),
                format!("{} stand still, security releases among them.", counted(open, "open rollout")),
                format!(
                    "None of {} is offered anything until it is turned off; what runs goes on running.",
                    counted(all, "instance")
                ),
                "Everybody who is signed in sees it on every page.".to_owned(),
            ],
            rule: "RO-6",
            action: "/red-switch".to_owned(),
            fields: vec![("on".to_owned(), "yes".to_owned())],
            asks: Some((
                "reason",
                "Why? It stands in the ledger for good, and on every page while the switch is on.",
            )),
            yes: "Stop every offer",
            is_grave: true,
            back: "/".to_owned(),
        }
    };
    page(question.page(&chrome))
}

pub(crate) async fn red_switch(State(app): State<App>, visit: Visit, form: Form) -> Answer {
    let on = match form.value("on") {
        "yes" => true,
        "no" => false,
        _ => return Err(Failure::bad_request("form-malformed", "on or off?", "open the page anew").into()),
    };
    let reason = Some(form.value("reason").to_owned());
    app.plane.red_switch(visit.person(), &wire::RedSwitch { on, reason }).await?;
    done("/fleet", if on { "red-on" } else { "red-off" })
}
