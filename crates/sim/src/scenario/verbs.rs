//! Reads what a step does: one verb and its table.
//!
//! Never carries anything out.

use governance::release::Weight;
use governance::{Advisory, Class, Deprecation, LayerId, Phase, Restriction, Span};

use super::model::{Joiner, OrderVerb, Published, ReportStep, RolloutVerb, UpgradeVerb, Verb};
use super::parse::{
    conduct, domains, finding, instance, kind, offset, parameters, phase, rule, status, tier, version,
};
use super::source::{Node, Read};

/// The verbs of a step.
pub(super) const NAMES: &[&str] = &[
    "publish",
    "withdraw",
    "rollout",
    "outcome",
    "freeze",
    "outage",
    "red_switch",
    "upgrade",
    "report",
    "subscription",
    "activate",
    "deactivate",
    "suspend",
    "reactivate",
    "handshake",
    "ready",
    "retry",
    "acknowledge",
    "order",
    "amend",
    "conduct",
];

/// Reads the table of this verb.
pub(super) fn read(verb: &str, node: &Node<'_>, joiners: &[Joiner]) -> Read<Verb> {
    let named = |node: Node<'_>| instance(node, joiners);
    match verb {
        "publish" => publish(node).map(|release| Verb::Publish(Box::new(release))),
        "withdraw" => version(*node).map(Verb::Withdraw),
        "rollout" => {
            let table = node.table(&["release", "do"])?;
            let verb = table.need("do")?.word("verb", RolloutVerb::ALL, RolloutVerb::as_str)?;
            Ok(Verb::Rollout(version(table.need("release")?)?, verb))
        }
        "outcome" => {
            let table = node.table(&["release", "phase", "failures"])?;
            Ok(Verb::Outcome {
                release: version(table.need("release")?)?,
                phase: phase(table.need("phase")?)?,
                failures: table.need("failures")?.number()?,
            })
        }
        "freeze" => span(node).map(|(from, until)| Verb::Freeze { from, until }),
        "outage" => span(node).map(|(from, until)| Verb::Outage { from, until }),
        "red_switch" => node.boolean().map(Verb::RedSwitch),
        "upgrade" => {
            let table = node.table(&["instance", "release", "do"])?;
            let verb = table.need("do")?.word("verb", UpgradeVerb::ALL, UpgradeVerb::as_str)?;
            Ok(Verb::Upgrade(named(table.need("instance")?)?, version(table.need("release")?)?, verb))
        }
        "report" => report(node, joiners),
        "subscription" => subscription(node, joiners),
        "activate" | "deactivate" => {
            let table = node.table(&["instance", "domain"])?;
            let (instance, domain) = (named(table.need("instance")?)?, table.need("domain")?.parsed()?);
            let activate = verb == "activate";
            Ok(if activate { Verb::Activate(instance, domain) } else { Verb::Deactivate(instance, domain) })
        }
        "suspend" => named(*node).map(Verb::Suspend),
        "reactivate" => named(*node).map(Verb::Reactivate),
        "handshake" => named(*node).map(Verb::Handshake),
        "ready" => named(*node).map(Verb::Ready),
        "retry" => {
            let table = node.table(&["instance", "release"])?;
            Ok(Verb::Retry(named(table.need("instance")?)?, version(table.need("release")?)?))
        }
        "acknowledge" => {
            let table = node.table(&["rule", "instance", "release"])?;
            Ok(Verb::Acknowledge {
                rule: rule(table.need("rule")?)?,
                instance: table.maybe("instance", named)?,
                release: table.maybe("release", version)?,
            })
        }
        "order" => order(node, joiners).map(Verb::Order),
        "amend" => amend(node),
        _ => {
            let table = node.table(&["instance", "to"])?;
            let whose = table.need("instance")?;
            let whose = if whose.text()? == "*" { None } else { Some(named(whose)?) };
            Ok(Verb::Conduct(whose, conduct(table.need("to")?)?))
        }
    }
}

fn publish(node: &Node<'_>) -> Read<Published> {
    let table = node.table(&[
        "version",
        "class",
        "ships_runtime",
        "advisory",
        "rollback",
        "only",
        "approval",
        "deprecates",
        "removes",
        "floor",
        "layers",
    ])?;
    let class =
        table.need("class")?.word("class", &[Class::Security, Class::Minor, Class::Major], Class::as_str)?;
    let only = |node: Node<'_>| {
        let table = node.table(&["kind", "tier", "provider", "label"])?;
        Ok(Restriction {
            kind: table.maybe("kind", |node| node.list(kind))?.unwrap_or_default(),
            tier: table.maybe("tier", |node| node.list(tier))?.unwrap_or_default(),
            provider: table.maybe("provider", |node| node.list(|item| item.parsed()))?.unwrap_or_default(),
            label: table.maybe("label", |node| node.list(|item| item.parsed()))?.unwrap_or_default(),
        })
    };
    let awaited =
        |node: Node<'_>| node.word("phase", &[Phase::Canary, Phase::Beta, Phase::Ga], Phase::as_str);
    Ok(Published {
        version: version(table.need("version")?)?,
        class,
        advisory: table.maybe("advisory", |node| node.word("advisory", Advisory::ALL, Advisory::as_str))?,
        ships_runtime: table.maybe("ships_runtime", version)?,
        rollback: table.maybe("rollback", |node| node.boolean())?.unwrap_or(true),
        only: table.maybe("only", only)?.unwrap_or_default(),
        approval: table.maybe("approval", |node| node.list(awaited))?.unwrap_or_default(),
        deprecates: table.maybe("deprecates", |node| node.list(deprecation))?.unwrap_or_default(),
        removes: table
            .maybe("removes", |node| node.list(|item| item.text().map(String::from)))?
            .unwrap_or_default(),
        floor: table.maybe("floor", version)?,
        layers: table.maybe("layers", |node| node.list(layer))?,
    })
}

/// A structure and what it needs.
fn layer(node: Node<'_>) -> Read<(LayerId, Vec<LayerId>)> {
    let table = node.table(&["id", "needs"])?;
    let needs = table.maybe("needs", |node| node.list(|item| item.parsed()))?.unwrap_or_default();
    Ok((table.need("id")?.parsed()?, needs))
}

fn deprecation(node: Node<'_>) -> Read<Deprecation> {
    let table = node.table(&["capability", "weight"])?;
    Ok(Deprecation {
        capability: table.need("capability")?.text()?.to_owned(),
        weight: table.need("weight")?.word("weight", Weight::ALL, Weight::as_str)?,
    })
}

/// Parameters, and beside them from when they hold.
fn amend(node: &Node<'_>) -> Read<Verb> {
    let changes = parameters(node, "", &["effective"])?;
    let effective = node.child("effective").map(offset).transpose()?;
    Ok(Verb::Amend { changes, effective })
}

/// From and until, offsets from the start.
pub(super) fn span(node: &Node<'_>) -> Read<(Span, Span)> {
    let table = node.table(&["from", "until"])?;
    let (from, until) = (offset(table.need("from")?)?, offset(table.need("until")?)?);
    if until < from {
        return node.error("it ends before it begins");
    }
    Ok((from, until))
}

fn report(node: &Node<'_>, joiners: &[Joiner]) -> Read<Verb> {
    let table = node.table(&["instance", "platform", "runtime", "fork", "chain", "domains"])?;
    let chain = |node: Node<'_>| node.word("break of the chain", &["gap", "fork"], |word| word);
    let report = ReportStep {
        platform: table.maybe("platform", version)?,
        runtime: table.maybe("runtime", version)?,
        fork: table.maybe("fork", |node| node.boolean())?.unwrap_or(false),
        chain_gap: table.maybe("chain", chain)?.map(|word| word == "gap"),
        domains: table.maybe("domains", domains)?,
    };
    Ok(Verb::Report(instance(table.need("instance")?, joiners)?, report))
}

fn subscription(node: &Node<'_>, joiners: &[Joiner]) -> Read<Verb> {
    let table = node.table(&["instance", "status", "tier", "kind"])?;
    let instance = instance(table.need("instance")?, joiners)?;
    let (tier, status) = (table.maybe("tier", tier)?, table.maybe("status", status)?);
    let kind = table.maybe("kind", kind)?;
    if tier.is_none() && status.is_none() && kind.is_none() {
        return node.error("name a `status`, a `tier` or a `kind`");
    }
    Ok(Verb::Subscription { instance, tier, status, kind })
}

fn order(node: &Node<'_>, joiners: &[Joiner]) -> Read<OrderVerb> {
    let every = ["do", "instance", "release", "finding", "until", "capability"];
    let verb = node.table(&every)?.need("do")?.word(
        "order",
        &["suspend", "revoke", "restore", "override", "resume", "withdraw", "remove"],
        |word| word,
    )?;
    let known: &[&str] = match verb {
        "override" => &["do", "instance", "finding", "until"],
        "resume" | "withdraw" => &["do", "release"],
        "remove" => &["do", "release", "capability"],
        _ => &["do", "instance"],
    };
    let table = node.table(known)?;
    let named = || instance(table.need("instance")?, joiners);
    Ok(match verb {
        "suspend" => OrderVerb::Suspend(named()?),
        "revoke" => OrderVerb::Revoke(named()?),
        "restore" => OrderVerb::Restore(named()?),
        "resume" => OrderVerb::Resume(version(table.need("release")?)?),
        "withdraw" => OrderVerb::Withdraw(version(table.need("release")?)?),
        "remove" => {
            OrderVerb::Remove(version(table.need("release")?)?, table.need("capability")?.text()?.to_owned())
        }
        _ => OrderVerb::Override {
            instance: named()?,
            finding: finding(table.need("finding")?)?,
            until: offset(table.need("until")?)?,
        },
    })
}
