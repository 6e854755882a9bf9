//! Reads a scenario file. Every key, verb and code is known, every name resolved, or the file is refused.
//!
//! Never plays anything, and never guesses: a wrong name is an error with the nearest right one.

use governance::constitution::PARAMETERS;
use governance::entitlement::TokenStatus;
use governance::tier::SubscriptionStatus;
use governance::warning::{Point, Window};
use governance::{Constitution, DomainCode, FindingCode, Kind, Phase, Span, State, Tier, Timestamp, Version};
use toml::de::{DeTable, DeValue};

use super::ScenarioError;
use super::fleet::WEEK;
use super::model::{
    Conduct, Expect, Explains, Filter, InstanceHolds, Joiner, Module, Refused, RolloutHolds, SHOWN, Scenario,
    Step, Subject,
};
use super::source::{Node, Read, Source, Table};
use super::{verbs, whole};

/// The largest fleet of a scenario.
const FLEET_MAX: usize = 10_000;
/// The latest instant of a scenario: ten years from its start.
const TIME_MAX: Span = Span::hours(10 * 366 * 24);
/// The families of the law's rules, and the last number of each.
const RULES: &[(&str, u32)] = &[
    ("AU", 4),
    ("ID", 5),
    ("LC", 19),
    ("HS", 9),
    ("RL", 9),
    ("RO", 9),
    ("CO", 14),
    ("EN", 7),
    ("FO", 5),
    ("LG", 3),
    ("IN", 7),
];

/// Reads a scenario; `name` is the file's, for the errors.
///
/// # Errors
/// The first thing in it that is not known, with its line and the nearest known name.
pub fn parse(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let source = Source { file: name, text };
    let table = DeTable::parse(text)
        .map_err(|error| source.error(error.span().map_or(0, |span| span.start), error.message()))?;
    let root = DeValue::Table(table.into_inner());
    let root = Node { source: &source, value: &root, offset: 0 };
    let root =
        root.table(&["name", "rules", "start", "constitution", "module", "instance", "step", "expect"])?;
    let all = |key: &str| root.get(key).map_or(Ok(Vec::new()), |node| node.list(Ok));
    let mut joiners: Vec<Joiner> = Vec::new();
    for node in all("instance")? {
        join(&node, &mut joiners)?;
    }
    let modules = all("module")?;
    let scenario = Scenario {
        name: root.need("name")?.text()?.to_string(),
        rules: root.maybe("rules", |node| node.list(rule))?.unwrap_or_default(),
        start: start(&root)?,
        constitution: root.maybe("constitution", constitution)?.unwrap_or_default(),
        modules: root.maybe("module", |node| node.list(module))?,
        steps: all("step")?.into_iter().map(|node| step(&node, &joiners)).collect::<Read<_>>()?,
        expects: all("expect")?.into_iter().map(|node| expect(&node, &joiners)).collect::<Read<_>>()?,
        joiners,
    };
    whole::check(&scenario, &modules, name)?;
    Ok(scenario)
}

fn start(root: &Table<'_>) -> Read<Timestamp> {
    let Some(node) = root.get("start") else { return Ok(Timestamp::from_millis(1_767_225_600_000)) };
    let text =
        node.value.as_datetime().map_or_else(|| node.text().map(String::from), |at| Ok(at.to_string()))?;
    text.parse().or_else(|error: governance::time::TimeError| node.error(error.to_string()))
}

pub(super) fn rule(node: Node<'_>) -> Read<String> {
    let text = node.text()?;
    let (family, number) = text.split_once('-').unwrap_or((text, "1"));
    let last = RULES.iter().find(|rule| rule.0 == family).map(|rule| rule.1);
    match last {
        // Written as the law writes it: no sign, no leading zero.
        Some(last) if (1..=last).any(|known| number == known.to_string()) => Ok(text.to_string()),
        Some(last) => node.error(format!("unknown rule `{text}`: {family}-1 to {family}-{last} exist")),
        None => node.unknown("rule", text, RULES.iter().map(|rule| rule.0)),
    }
}

/// An offset from the start.
pub(super) fn offset(node: Node<'_>) -> Read<Span> {
    let span = node.parsed::<Span>()?;
    if span > TIME_MAX {
        node.error(format!("{span} lies beyond {TIME_MAX}, the longest scenario"))
    } else {
        Ok(span)
    }
}

/// A number as seen from here: the instance with this name.
pub(super) fn instance(node: Node<'_>, joiners: &[Joiner]) -> Read<usize> {
    let text = node.text()?;
    match joiners.iter().position(|joiner| joiner.name == text) {
        Some(index) => Ok(index),
        None => node.unknown("instance", text, joiners.iter().map(|joiner| joiner.name.as_str())),
    }
}

pub(super) fn kind(node: Node<'_>) -> Read<Kind> {
    node.word("kind", Kind::ALL, Kind::as_str)
}
pub(super) fn tier(node: Node<'_>) -> Read<Tier> {
    node.word("tier", Tier::ALL, Tier::as_str)
}
pub(super) fn status(node: Node<'_>) -> Read<SubscriptionStatus> {
    node.word("subscription status", SubscriptionStatus::ALL, SubscriptionStatus::as_str)
}
pub(super) fn phase(node: Node<'_>) -> Read<Phase> {
    node.word("phase", Phase::ALL, Phase::as_str)
}
pub(super) fn finding(node: Node<'_>) -> Read<FindingCode> {
    node.word("finding", FindingCode::ALL, FindingCode::as_str)
}
pub(super) fn conduct(node: Node<'_>) -> Read<Conduct> {
    node.word("conduct", Conduct::ALL, Conduct::as_str)
}
fn state(node: Node<'_>) -> Read<State> {
    node.word("state", State::ALL, State::as_str)
}
pub(super) fn version(node: Node<'_>) -> Read<Version> {
    node.parsed()
}
pub(super) fn domains(node: Node<'_>) -> Read<Vec<DomainCode>> {
    node.list(|item| item.parsed())
}

/// Parameters by their names, quoted or as dotted tables, each checked alone; `besides` are keys of another kind.
pub(super) fn parameters(
    node: &Node<'_>,
    prefix: &str,
    besides: &[&str],
) -> Read<Vec<(String, toml::Value)>> {
    let Some(entries) = node.value.as_table() else { return node.error("expected a table of parameters") };
    let mut found = Vec::new();
    for (key, value) in entries {
        let name = format!("{prefix}{}", key.get_ref());
        let value = Node::at(node.source, value);
        if besides.contains(&name.as_str()) {
            continue;
        }
        if value.value.is_table() {
            found.extend(parameters(&value, &format!("{name}."), &[])?);
            continue;
        }
        if !PARAMETERS.iter().any(|parameter| parameter.name == name) {
            let at = Node { offset: key.span().start, ..value };
            return at.unknown("parameter", &name, PARAMETERS.iter().map(|parameter| parameter.name));
        }
        let plain = plain(&value)?;
        amended(&Constitution::default(), &[(name.clone(), plain.clone())])
            .or_else(|error| value.error(error.message().to_string()))?;
        found.push((name, plain));
    }
    Ok(found)
}

/// The constitution with these parameters changed.
pub(super) fn amended(
    base: &Constitution,
    changes: &[(String, toml::Value)],
) -> Result<Constitution, toml::de::Error> {
    let mut table = toml::Table::try_from(base).map_err(serde::de::Error::custom)?;
    for (name, value) in changes {
        table.insert(name.clone(), value.clone());
    }
    table.try_into()
}

fn plain(node: &Node<'_>) -> Read<toml::Value> {
    Ok(match node.value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Integer(_) => toml::Value::Integer(node.number()?),
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => toml::Value::Float(number),
            Err(_) => return node.error("expected a number"),
        },
        DeValue::Boolean(boolean) => toml::Value::Boolean(*boolean),
        DeValue::Array(_) => toml::Value::Array(node.list(|item| plain(&item))?),
        DeValue::Datetime(_) | DeValue::Table(_) => return node.error("expected the value of a parameter"),
    })
}

fn constitution(node: Node<'_>) -> Read<Constitution> {
    let law = amended(&Constitution::default(), &parameters(&node, "", &[])?)
        .or_else(|error| node.error(error.message().to_string()))?;
    match law.check().map_err(|found| found.into_iter().next()) {
        Err(Some(contradiction)) => {
            let named = parameter_at(&node, "", &|name| name == contradiction.parameter);
            // The one at fault may have its default, and the one that the rule names stands here.
            let at = named.or_else(|| parameter_at(&node, "", &|name| contradiction.rule.contains(name)));
            Err(node.source.error(at.unwrap_or(node.offset), contradiction.to_string()))
        }
        _ => Ok(law),
    }
}

/// Where the first parameter stands whose name is the wanted one.
fn parameter_at(node: &Node<'_>, prefix: &str, wanted: &dyn Fn(&str) -> bool) -> Option<usize> {
    node.value.as_table()?.iter().find_map(|(key, value)| {
        let name = format!("{prefix}{}", key.get_ref());
        if wanted(&name) {
            return Some(key.span().start);
        }
        parameter_at(&Node::at(node.source, value), &format!("{name}."), wanted)
    })
}

fn module(node: Node<'_>) -> Read<Module> {
    let table = node.table(&["code", "minimum", "depends", "provider"])?;
    Ok(Module {
        code: table.need("code")?.parsed()?,
        minimum: table.maybe("minimum", version)?.unwrap_or(Version::new(0, 1, 0)),
        depends: table.maybe("depends", domains)?.unwrap_or_default(),
        provider: table.maybe("provider", |node| node.parsed())?,
    })
}

fn join(node: &Node<'_>, joiners: &mut Vec<Joiner>) -> Read<()> {
    let table = node.table(&[
        "name", "count", "kind", "tier", "platform", "runtime", "domains", "provider", "labels", "conduct",
        "join", "stay", "window",
    ])?;
    let first = Version::new(0, 1, 0);
    let name = table.need("name").and_then(name)?;
    let count: usize = table.maybe("count", count)?.unwrap_or(1);
    let stay = |node: Node<'_>| node.word("stay", &["registered"], |word| word);
    let joiner = Joiner {
        name: name.to_string(),
        kind: table.maybe("kind", kind)?.unwrap_or(Kind::SaasShared),
        tier: table.maybe("tier", tier)?.unwrap_or(Tier::Pro),
        platform: table.maybe("platform", version)?.unwrap_or(first),
        runtime: table.maybe("runtime", version)?.unwrap_or(first),
        domains: table.maybe("domains", domains_once)?.unwrap_or_default(),
        provider: table.maybe("provider", |node| node.parsed())?,
        labels: table.maybe("labels", |node| node.list(|item| item.parsed()))?.unwrap_or_default(),
        conduct: table.maybe("conduct", conduct)?.unwrap_or(Conduct::Obedient),
        join: table.maybe("join", offset)?.unwrap_or(Span::ZERO),
        stays_registered: table.maybe("stay", stay)?.is_some(),
        window: table.maybe("window", window)?,
    };
    if joiners.len().saturating_add(count) > FLEET_MAX {
        return node.error(format!("more than {FLEET_MAX} instances"));
    }
    for index in 1..=count {
        let name = if count == 1 { name.to_string() } else { format!("{name}-{index}") };
        if joiners.iter().any(|other| other.name == name) {
            return node.error(format!("there is an instance `{name}` already"));
        }
        joiners.push(Joiner { name, ..joiner.clone() });
    }
    Ok(())
}

/// What an instance is called by in steps and in the report.
fn name(node: Node<'_>) -> Read<&str> {
    match node.text()? {
        "" => node.error("an instance needs a name"),
        "*" => node.error("`*` stands for all instances: no instance is named so"),
        name if name.contains(char::is_control) => node.error("a name is written without control characters"),
        name => Ok(name),
    }
}

fn count(node: Node<'_>) -> Read<usize> {
    match node.number()? {
        0 => node.error("nobody joins: leave the instance out"),
        count => Ok(count),
    }
}

/// Domains in their order, none twice.
fn domains_once(node: Node<'_>) -> Read<Vec<DomainCode>> {
    node.set(|item| item.parsed::<DomainCode>())?;
    domains(node)
}

/// A deployment window, a week long at most.
fn window(node: Node<'_>) -> Read<(Span, Span)> {
    let (from, until) = verbs::span(&node)?;
    if until - from > WEEK {
        return node.error("it comes every week: until is a week after from at most");
    }
    Ok((from, until))
}

fn step(node: &Node<'_>, joiners: &[Joiner]) -> Read<Step> {
    let known: Vec<&str> = ["at", "refused"].into_iter().chain(verbs::NAMES.iter().copied()).collect();
    let table = node.table(&known)?;
    let verbs: Vec<&str> = table.keys().filter(|key| verbs::NAMES.contains(key)).collect();
    let [verb] = verbs[..] else {
        return node.error(format!("a step has one verb, this one has {}", verbs.len()));
    };
    let value = table.need(verb)?;
    Ok(Step {
        at: offset(table.need("at")?)?,
        line: node.line(),
        verb: verbs::read(verb, &value, joiners)?,
        refused: table.maybe("refused", refused)?,
    })
}

fn refused(node: Node<'_>) -> Read<Refused> {
    let code = |node: Node<'_>| node.word("refusal code", super::REFUSALS, |code| code);
    if node.value.is_array() {
        Ok(Refused::Exactly(node.set(code)?))
    } else {
        Ok(Refused::Among(code(node)?))
    }
}

const SUBJECTS: [&str; 5] = ["instance", "rollout", "fleet", "escalations", "acknowledged"];

fn expect(node: &Node<'_>, joiners: &[Joiner]) -> Read<Expect> {
    let of_subject: &[(&str, &[&str])] = &[
        (
            "instance",
            &[
                "state", "findings", "platform", "domains", "token", "warnings", "offered", "path",
                "versions", "explains",
            ],
        ),
        ("rollout", &["phase", "cohort", "holding"]),
        ("fleet", &["count"]),
        ("escalations", &[]),
        ("acknowledged", &[]),
    ];
    let every: Vec<&str> =
        ["at"].into_iter().chain(SUBJECTS).chain(of_subject.iter().flat_map(|own| own.1).copied()).collect();
    let table = node.table(&every)?;
    let subjects: Vec<&str> = table.keys().filter(|key| SUBJECTS.contains(key)).collect();
    let [subject] = subjects[..] else {
        return node.error(format!("an expectation has one subject, this one has {}", subjects.len()));
    };
    let own = of_subject.iter().find(|own| own.0 == subject).map_or(&[][..], |own| own.1);
    let known: Vec<&str> = ["at", subject].into_iter().chain(own.iter().copied()).collect();
    let table = node.table(&known)?;
    let value = table.need(subject)?;
    if !own.is_empty() && !own.iter().any(|key| table.get(key).is_some()) {
        return node.error(format!("nothing is expected of the {subject}: name any of {}", own.join(", ")));
    }
    let subject = match subject {
        "instance" => Subject::Instance(instance(value, joiners)?, Box::new(instance_holds(&table)?)),
        "rollout" => Subject::Rollout(version(value)?, rollout_holds(&table)?),
        "fleet" => Subject::Fleet(filter(value)?, table.need("count")?.number()?),
        "escalations" => Subject::Escalations(value.number()?),
        _ => Subject::Acknowledged(value.number()?),
    };
    Ok(Expect { at: offset(table.need("at")?)?, line: node.line(), subject })
}

/// A value, or `false` for none.
fn or_false<'a, T>(node: Node<'a>, read: impl FnOnce(Node<'a>) -> Read<T>) -> Read<Option<T>> {
    if node.value.as_bool() == Some(false) { Ok(None) } else { read(node).map(Some) }
}

fn instance_holds(table: &Table<'_>) -> Read<InstanceHolds> {
    Ok(InstanceHolds {
        state: table.maybe("state", state)?,
        findings: table.maybe("findings", |node| node.set(finding))?,
        platform: table.maybe("platform", version)?,
        domains: table.maybe("domains", |node| node.set(|item| item.parsed()))?,
        token: table.maybe("token", |node| or_false(node, token))?,
        warnings: table.maybe("warnings", |node| node.set(warning))?,
        offered: table.maybe("offered", |node| or_false(node, version))?,
        path: table.maybe("path", |node| node.list(state))?,
        versions: table.maybe("versions", |node| node.list(version))?,
        explains: table.maybe("explains", explains)?,
    })
}

fn explains(node: Node<'_>) -> Read<Explains> {
    let table = node.table(&["release", "rules", "earliest"])?;
    Ok(Explains {
        release: version(table.need("release")?)?,
        rules: table.need("rules")?.set(rule)?,
        earliest: table.maybe("earliest", |node| or_false(node, offset))?,
    })
}

fn rollout_holds(table: &Table<'_>) -> Read<RolloutHolds> {
    let reason = |node: Node<'_>| node.word("reason to hold", &["evidence", "approval"], |word| word);
    Ok(RolloutHolds {
        phase: table.maybe("phase", |node| node.word("phase", SHOWN, |word| word))?,
        cohort: table.maybe("cohort", |node| node.number())?,
        holding: table.maybe("holding", |node| or_false(node, |node| reason(node).map(String::from)))?,
    })
}

fn token(node: Node<'_>) -> Read<TokenStatus> {
    node.word("token status", TokenStatus::ALL, TokenStatus::as_str)
}

/// A window and how far it had run: `update-half`, `security-end`.
fn warning(node: Node<'_>) -> Read<String> {
    let all: Vec<String> = Window::ALL
        .iter()
        .flat_map(|window| Point::ALL.iter().map(move |point| format!("{window}-{point}")))
        .collect();
    let text = node.text()?;
    if all.iter().any(|known| known == text) {
        Ok(text.to_owned())
    } else {
        node.unknown("warning", text, all.iter().map(String::as_str))
    }
}

fn filter(node: Node<'_>) -> Read<Filter> {
    let table = node.table(&["state", "platform", "kind", "tier", "finding"])?;
    Ok(Filter {
        state: table.maybe("state", state)?,
        platform: table.maybe("platform", version)?,
        kind: table.maybe("kind", kind)?,
        tier: table.maybe("tier", tier)?,
        finding: table.maybe("finding", finding)?,
    })
}
