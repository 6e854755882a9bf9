//! A release on its way: signed offline, published, offered, installed, withdrawn (RL-1, RL-3, RO).

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::RolloutVerb;
use governance::explain::Standing as Stands;
use governance::release::RollbackInstructions;
use governance::{
    Class, Digest, InstanceId, LayerContent, LayerStructure, Package, Release, Span, State, VersionRange,
};
use proof::directive::{Directive, OfferAction};
use proof::order::{Order, OrderAction};
use proof::statement::VersionStatement;
use proof::{Jws, Typ};
use trust::tuf::{TargetFile, TargetsChange, draft};
use wire::{Publish, Standing, UpgradeBegin, UpgradeFinish, UpgradeOutcome};

use crate::common::{Who, World, bytes_of, layers, now, refused, statement, version};

pub(crate) fn release(number: &str, package: &[u8]) -> Release {
    let layers =
        layers().into_iter().map(|LayerContent { id, digest }| LayerStructure { id, digest, needs: vec![] });
    Release {
        version: version(number),
        class: Class::Minor,
        advisory: None,
        package: Package {
            name: format!("package-{number}"),
            digest: Digest::of(package),
            length: package.len() as u64,
        },
        layers: layers.collect(),
        ships_runtime: None,
        runtime: VersionRange { min: version("0.1.0"), max: version("0.2.0") },
        from: None,
        rollback: Some(RollbackInstructions { instructions: "put the old one back".to_owned() }),
        migration: None,
        floor: None,
        deprecations: Vec::new(),
        removes: Vec::new(),
        notes: String::new(),
    }
}

/// Signs and uploads a release as `release sign` and `release publish` do.
pub(crate) async fn prepare(world: &World, release: &Release, package: &[u8], after: &str) -> Publish {
    let operator = world.client(&world.operator());
    let signed = Jws::sign_json(Typ::Release, release, &world.organism).unwrap();
    let manifest = signed.to_json().into_bytes();
    let mut put = BTreeMap::new();
    for (name, bytes) in [
        (release.package.name.clone(), package.to_vec()),
        (format!("release-{}.json", release.version), manifest),
    ] {
        put.insert(name.clone(), TargetFile::new(bytes.len() as u64, Digest::of(&bytes).as_bytes()));
        operator.target_put(&name, bytes).await.unwrap();
    }
    let previous = bytes_of(&world.path("tuf/metadata").join(after));
    let change = TargetsChange { put, remove: vec![] };
    let mut targets = draft::targets_next(&previous, change, now() + Span::hours(100)).unwrap();
    targets.sign(&world.organism).unwrap();
    let targets = STANDARD.encode(targets.to_bytes().unwrap());
    Publish { release: signed, targets, only: Default::default(), approval: vec![] }
}

/// Publishes what all run already: the first release of a federation needs no phases. Then signs and uploads 0.1.1.
async fn prepare_update(world: &World, package: &[u8]) -> Publish {
    let base = prepare(world, &release("0.1.0", b"the old one"), b"the old one", "1.targets.json").await;
    let operator = world.client(&world.operator());
    assert_eq!(operator.release_publish(&base).await.unwrap().phase.as_deref(), Some("done"));
    prepare(world, &release("0.1.1", package), package, "2.targets.json").await
}

async fn offered(world: &World, id: InstanceId, who: &Who) -> Directive {
    let client = world.client(who);
    let wait = async {
        loop {
            let standing = client.check_in(id).await.unwrap();
            let directives = world.path("keys/federation/directives.key");
            let key = trust::SigningKey::load(&directives).unwrap();
            standing.directive.verify_one(Typ::Directive, proof::Sign::public_key(&key)).unwrap();
            let directive: Directive = standing.directive.parse_unverified().unwrap();
            if directive.offer.is_some() {
                return directive;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap()
}

/// A world whose rollouts are through in no time.
async fn quick() -> World {
    World::start_with(|law, settings| {
        law.rollout_canary_duration = Span::from_millis(200);
        law.rollout_beta_duration = Span::from_millis(200);
        settings.pace.sweep_rolling_every = Span::from_millis(50);
    })
    .await
}

/// A statement that this version runs.
fn runs(id: InstanceId, who: &Who, platform: &str, sequence: u64, previous: &Jws) -> Jws {
    let running = VersionStatement {
        instance: id,
        sequence,
        previous: Some(previous.digest()),
        at: now(),
        platform: version(platform),
        runtime: version("0.1.0"),
        layers: layers(),
        domains: vec![],
    };
    Jws::sign_json(Typ::Statement, &running, &*who.key).unwrap()
}

/// Begins what is on offer and says that it runs.
async fn install(world: &World, id: InstanceId, who: &Who, statement: Jws) -> Standing {
    let client = world.client(who);
    let directive = offered(world, id, who).await;
    let release = directive.offer.unwrap().release;
    client.upgrade_begin(id, &UpgradeBegin { release, directive_serial: directive.serial }).await.unwrap();
    let outcome = UpgradeOutcome::Succeeded;
    let finish = UpgradeFinish { release, outcome, reason: None, statement: Some(statement) };
    client.upgrade_finish(id, &finish).await.unwrap()
}

#[tokio::test]
async fn rl_2_an_owner_goes_back_inside_the_window_and_never_over_a_security_release() {
    let world = quick().await;
    let (id, who) = world.active().await;
    let (client, operator) = (world.client(&who), world.client(&world.operator()));
    let first = statement(id, &who.key, 1, None);
    client.report(id, first.clone()).await.unwrap();
    let publish = prepare_update(&world, b"the new one").await;
    operator.release_publish(&publish).await.unwrap();
    let (zero, one) = (version("0.1.0"), version("0.1.1"));
    refused(client.roll_back(id, zero).await, 409, "not-offered");
    let second = runs(id, &who, "0.1.1", 2, &first);
    assert_eq!(install(&world, id, &who, second.clone()).await.state, State::Active);

    refused(client.roll_back(id, one).await, 409, "not-offered");
    let asked = client.roll_back(id, zero).await.unwrap();
    let offer = asked.directive.parse_unverified::<Directive>().unwrap().offer.unwrap();
    assert_eq!((offer.release, offer.action, offer.deadline), (zero, OfferAction::Rollback, None));
    assert_eq!(client.roll_back(id, zero).await.unwrap().state, State::UpdatePending, "asked twice");
    let third = runs(id, &who, "0.1.0", 3, &second);
    let back = install(&world, id, &who, third.clone()).await;
    // RO-9: what was left is offered again only half-way through its window.
    let directive: Directive = back.directive.parse_unverified().unwrap();
    assert_eq!((back.state, directive.offer), (State::Active, None));

    let security = Release { class: Class::Security, ..release("0.1.2", b"a repair") };
    let publish = prepare(&world, &security, b"a repair", "3.targets.json").await;
    operator.release_publish(&publish).await.unwrap();
    install(&world, id, &who, runs(id, &who, "0.1.2", 4, &third)).await;
    refused(client.roll_back(id, zero).await, 409, "opt-out-forbidden");
    world.lawful().await;
}

#[tokio::test]
async fn rl_3_a_release_is_published_offered_and_installed() {
    let world = quick().await;
    let (id, who) = world.active().await;
    let client = world.client(&who);
    let first = statement(id, &who.key, 1, None);
    client.report(id, first.clone()).await.unwrap();
    let operator = world.client(&world.operator());
    let package = b"the new one".as_slice();
    let publish = prepare_update(&world, package).await;

    let forged = Jws::sign_json(Typ::Release, &release("0.1.1", package), &world.founder).unwrap();
    let wrong = Publish { release: forged, ..publish.clone() };
    refused(operator.release_publish(&wrong).await, 403, "release-untrusted");
    let published = operator.release_publish(&publish).await.unwrap();
    assert_eq!((published.version, published.phase.as_deref()), (version("0.1.1"), Some("canary")));
    assert_eq!(operator.releases().await.unwrap().items.len(), 2);

    let directive = offered(&world, id, &who).await;
    let offer = directive.offer.unwrap();
    assert_eq!((offer.release, offer.action), (version("0.1.1"), OfferAction::Update));
    let served = world
        .public()
        .file(&format!("/tuf/targets/{}.package-0.1.1", Digest::of(package)), 100)
        .await
        .unwrap();
    assert_eq!(served.as_deref(), Some(package));

    let begin = UpgradeBegin { release: version("0.1.1"), directive_serial: directive.serial };
    assert_eq!(client.upgrade_begin(id, &begin).await.unwrap().state, State::UpgradeInProgress);
    let mut finish = UpgradeFinish {
        release: version("0.1.1"),
        outcome: UpgradeOutcome::Succeeded,
        reason: None,
        statement: None,
    };
    refused(client.upgrade_finish(id, &finish).await, 400, "statement-missing");
    finish.statement = Some(statement(id, &who.key, 2, Some(first.digest())));
    refused(client.upgrade_finish(id, &finish).await, 409, "not-running");
    finish.statement = Some(runs(id, &who, "0.1.1", 2, &first));
    assert_eq!(client.upgrade_finish(id, &finish).await.unwrap().state, State::Active);

    let done = async {
        while operator.rollout(version("0.1.1")).await.unwrap().phase != "done" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(10), done).await;
    assert!(done.is_ok(), "{:?}", operator.rollout(version("0.1.1")).await);
    let rollout = operator.rollout(version("0.1.1")).await.unwrap();
    assert_eq!((rollout.offered, rollout.installed, rollout.failed), (1, 1, 0));
    assert!(operator.escalations().await.unwrap().items.is_empty());
}

#[tokio::test]
async fn ro_6_operators_steer_rollouts_and_the_red_switch() {
    let world = World::start().await;
    world.active().await;
    let operator = world.client(&world.operator());
    let package = b"the new one".as_slice();
    let publish = prepare_update(&world, package).await;
    operator.release_publish(&publish).await.unwrap();
    let steer = |verb| operator.rollout_steer(version("0.1.1"), verb);
    assert_eq!(steer(RolloutVerb::Pause).await.unwrap().phase, "paused");
    refused(steer(RolloutVerb::Pause).await, 409, "state-forbids");
    assert_eq!(steer(RolloutVerb::Resume).await.unwrap().phase, "canary");
    let on =
        crate::common::Raw::post("/v1/red-switch", r#"{"on":true}"#).send(&world, &world.operator()).await;
    assert_eq!(on.status, 204);
    assert!(operator.federation().await.unwrap().red_switch);
    assert_eq!(steer(RolloutVerb::Abort).await.unwrap().phase, "aborted");
    assert!(operator.release_withdraw(version("0.1.1")).await.unwrap().withdrawn);
    refused(operator.release_withdraw(version("9.9.9")).await, 404, "unknown-release");
}

#[tokio::test]
async fn ro_5_only_the_founder_lets_a_failing_security_release_go_on() {
    let world =
        World::start_with(|_, settings| settings.pace.sweep_rolling_every = Span::from_millis(50)).await;
    let (id, who) = world.active().await;
    let (client, operator) = (world.client(&who), world.client(&world.operator()));
    let old = prepare(&world, &release("0.1.0", b"the old one"), b"the old one", "1.targets.json").await;
    operator.release_publish(&old).await.unwrap();
    let security = Release { class: Class::Security, ..release("0.1.1", b"a hasty repair") };
    let publish = prepare(&world, &security, b"a hasty repair", "2.targets.json").await;
    operator.release_publish(&publish).await.unwrap();
    let directive = offered(&world, id, &who).await;
    let release = version("0.1.1");
    client.upgrade_begin(id, &UpgradeBegin { release, directive_serial: directive.serial }).await.unwrap();
    let failed = UpgradeFinish {
        release,
        outcome: UpgradeOutcome::Failed,
        reason: Some("not healthy".to_owned()),
        statement: None,
    };
    client.upgrade_finish(id, &failed).await.unwrap();
    let paused = async {
        while operator.rollout(release).await.unwrap().phase != "paused" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), paused).await.unwrap();
    let escalations = operator.escalations().await.unwrap().items;
    assert!(escalations.iter().any(|escalation| escalation.rule == "RO-5"), "{escalations:?}");
    refused(operator.rollout_steer(release, RolloutVerb::Resume).await, 403, "not-authorised");

    let order = |serial, action| {
        let order = Order { serial, expires: now() + Span::hours(1), action };
        Jws::sign_json(Typ::Order, &order, &world.founder).unwrap()
    };
    let reason = || "the cause is known".to_owned();
    operator.order_submit(order(1, OrderAction::Resume { release, reason: reason() })).await.unwrap();
    assert_ne!(operator.rollout(release).await.unwrap().phase, "paused", "the count began anew");
    assert_eq!(operator.escalations().await.unwrap().items, vec![]);
    operator.order_submit(order(2, OrderAction::Withdraw { release, reason: reason() })).await.unwrap();
    assert_eq!(operator.rollout(release).await.unwrap().phase, "withdrawn");
    world.lawful().await;
}

#[tokio::test]
async fn ro_6_a_freeze_holds_back_all_but_security() {
    let world =
        World::start_with(|_, settings| settings.pace.sweep_rolling_every = Span::from_millis(50)).await;
    let (id, who) = world.active().await;
    let (client, operator) = (world.client(&who), world.client(&world.operator()));
    let freeze = |from, until| wire::Freeze { from, until };
    refused(operator.freeze(&freeze(now(), now() - Span::hours(1))).await, 409, "freeze-void");
    operator.freeze(&freeze(now(), now() + Span::hours(1))).await.unwrap();
    let publish = prepare_update(&world, b"a feature").await;
    assert_eq!(operator.release_publish(&publish).await.unwrap().phase.as_deref(), Some("queued"));
    let standing = client.check_in(id).await.unwrap();
    let directive: Directive = standing.directive.parse_unverified().unwrap();
    assert_eq!((standing.state, directive.offer), (State::Active, None));
    let security = Release { class: Class::Security, ..release("0.1.2", b"a repair") };
    let publish = prepare(&world, &security, b"a repair", "3.targets.json").await;
    operator.release_publish(&publish).await.unwrap();
    assert_eq!(offered(&world, id, &who).await.offer.unwrap().release, version("0.1.2"));
    world.lawful().await;
}

#[tokio::test]
async fn rl_4_a_stack_that_does_not_close_changes_nothing() {
    let world = World::start().await;
    let operator = world.client(&world.operator());
    let mut broken = release("0.1.0", b"bytes");
    if let Some(structure) = broken.layers.first_mut() {
        structure.needs = vec!["ORG-XX-NOTHING-v1.0.0".parse().unwrap()];
    }
    let publish = prepare(&world, &broken, b"bytes", "1.targets.json").await;
    let size = world.ledger_size().await;
    refused(operator.release_publish(&publish).await, 409, "stack-broken");
    assert_eq!((world.ledger_size().await, operator.releases().await.unwrap().items.len()), (size, 0));
    assert!(!world.path("tuf/metadata/2.targets.json").exists(), "nor is it in the repository");
}

#[tokio::test]
async fn ro_2_an_operator_is_told_why_an_instance_has_not_got_a_release() {
    let world = World::start().await;
    let (id, who) = world.active().await;
    let (other, _) = world.active().await;
    let operator = world.client(&world.operator());
    operator.release_publish(&prepare_update(&world, b"the new one").await).await.unwrap();

    // Canary holds one of the two; the other is told of the phase that takes it in.
    let mut standings = Vec::new();
    for instance in [id, other] {
        let told = operator.instance_explain(instance, None).await.unwrap();
        assert_eq!((told.instance, told.releases.len()), (instance, 1), "{told}");
        let release = &told.releases[0];
        let rules: Vec<&str> = release.answers.iter().map(|answer| answer.rule.as_str()).collect();
        standings.push((release.standing, rules.join(" "), release.earliest.is_some()));
    }
    standings.sort();
    let expected = [(Stands::OnOffer, "RO-7".to_owned(), false), (Stands::Blocked, "RO-2".to_owned(), true)];
    assert_eq!(standings, expected);

    let told = operator.instance_explain(id, Some(version("0.9.0"))).await.unwrap();
    assert_eq!(told.releases[0].answers[0].rule, "RL-1");
    let nobody = InstanceId::from_random([7; 16]);
    refused(operator.instance_explain(nobody, None).await, 404, "not-found");
    refused(world.client(&who).instance_explain(id, None).await, 403, "not-authorised");

    // The records of which all that is made: whole, page by page, for operators alone.
    let known = operator.record_of_the_world().await.unwrap();
    assert_eq!(known.rollouts.len(), 2);
    let page = operator.records(None).await.unwrap();
    assert_eq!(page.items.len(), 2);
    assert!(operator.records(Some(page.items[1].id.to_string())).await.unwrap().items.is_empty());
    refused(world.client(&who).records(None).await, 403, "not-authorised");
    refused(world.client(&who).record_of_the_world().await, 403, "not-authorised");
}
