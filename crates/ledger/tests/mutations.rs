//! LG-3 by mutation: in every kind of entry every field is changed, the entry signed anew and the tree and checkpoint made
//! anew with the plane's own keys, as whoever holds them all could. The law alone must find each, at its place; the few
//! fields that no rule rests on stand in a table, and are found by whoever saw a checkpoint before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests stop at the first surprise, and this one prints its score"
)]

mod federation;

use std::collections::{BTreeMap, BTreeSet};

use federation::{Federation, stories};
use governance::{Authority, Digest, Event, InstanceEvent, Opening, Span, Timestamp, Version, WorldEvent};
use ledger::tree::leaf_hash;
use ledger::{Breach, Entry, Evidence, Frontier, TreeHead, Verifier};
use proof::Sign as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// So many entries of each shape are changed in each story.
const OF_EACH_SHAPE: usize = 1;
/// So many other values are tried where a field could have many.
const VALUES_MAX: usize = 4;

/// What no rule rests on: kind, place, why. Who changes it changes the log all the same, and is found by whoever saw it before.
#[rustfmt::skip]
const FREE: &[(&str, &str, &str)] = &[
    ("*", "at", "the instant itself: order, limits and windows are held; no clock but the plane's tells it"),
    ("*", "(dropped)", "a decision on which no later one rests"),
    ("certificate-issued", "(twice)", "the Federation may certify a key again"),
    ("freeze-set", "(twice)", "an operator may ask again"),
    ("*", "(swapped)", "decisions about different subjects cross"),
    ("*", "evidence.document.signatures", "how many signatures above its threshold a document carries"),
    ("certificate-issued", "event.instance[].serial", "the Federation numbers certificates"),
    ("certificate-issued", "event.instance[].not_after", "a certificate may end before the law's limit"),
    ("escalated", "event.instance[]", "CO-13: whom the Federation met stands on its word, once while one is open"),
    ("escalated", "event.instance[].facts", "CO-9, CO-13, LG-2: what the Federation met stands on its word"),
    ("federation-escalated", "event.world.facts", "LG-2: that witnesses refused stands on the Federation's word"),
    ("registered", "event.instance[].endpoint", "where an instance can be asked is its own to say"),
    ("registered", "event.instance[].labels", "what operators call it by is theirs to say"),
    ("registered", "event.instance[].running.runtime", "what a new instance runs, until its first statement"),
    ("registered", "event.instance[].running.layers", "the same"),
    ("handshake-renewed", "event.instance[].endpoint", "where an instance can be asked is its own to say"),
    ("subscription-changed", "event.instance[]", "what is paid for is said by hand"),
    ("subscription-changed", "event.instance[].tier", "the same"),
    ("subscription-changed", "event.instance[].until", "the same"),
    ("enrolment-created", "actor", "which of those who may ask asked is the Federation's word"),
    ("moved", "actor", "the same"),
    ("kind-changed", "event.instance[].kind", "to which kind it was moved is the operator's to say"),
    ("freeze-set", "event.world.from", "what an operator asked for"),
    ("freeze-set", "event.world.until", "the same"),
    ("person-revoked", "event.world.serial", "which of his certificates an operator meant"),
    ("outage-recorded", "event.world.from", "the plane alone knows when it was away; that it decided nothing meanwhile is held"),
    ("outage-recorded", "event.world.until", "the same"),
    ("rollout-opened", "event.world.approval", "which phases wait is the operator's to say"),
    ("rollout-opened", "event.world.restriction", "whom it is for is the operator's to say"),
];

/// What became of one changed log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The law found it at the changed entry.
    AtOnce,
    /// The law found it at a later entry.
    Later,
    /// Only whoever saw the log before finds it.
    ByMemory,
}

/// The name of an event's kind.
fn kind_of(event: &Event) -> String {
    let value = match event {
        Event::World(event) => serde_json::to_value(event),
        Event::Instance(_, event) => serde_json::to_value(event),
    };
    value.unwrap()["type"].as_str().unwrap().to_owned()
}

/// The words that may stand where one stands that means nothing: what the type itself says.
fn words_of<T: DeserializeOwned>(value: &Value) -> Vec<String> {
    let Err(error) = serde_json::from_value::<T>(value.clone()) else { return Vec::new() };
    let text = error.to_string();
    // serde's own words: "unknown variant `?`, expected one of `a`, `b`".
    if let Some((_, list)) = text.split_once("unknown variant") {
        return list.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    }
    // The law's: "unknown kind `?`: one of a, b".
    let list = text.strip_prefix("unknown ").and_then(|text| text.split_once("`: one of "));
    list.map_or_else(Vec::new, |(_, list)| {
        list.split(" at line").next().unwrap_or(list).split(", ").map(str::to_owned).collect()
    })
}

/// Every kind of event there is.
fn all_kinds() -> BTreeSet<String> {
    let unknown = serde_json::json!({ "type": "?" });
    let (world, instance) = (words_of::<WorldEvent>(&unknown), words_of::<InstanceEvent>(&unknown));
    world.into_iter().chain(instance).collect()
}

/// The place of a value within an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> &'a mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Index(index) => &mut value[*index],
    })
}

/// A path for people and for the table: places in lists are not told apart.
fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(_) => text.push_str("[]"),
        }
    }
    text
}

/// Every place in a value, itself first.
fn places(value: &Value, here: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    found.push(here.clone());
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                here.push(Step::Key(key.clone()));
                places(inner, here, found);
                here.pop();
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate().take(2) {
                here.push(Step::Index(index));
                places(inner, here, found);
                here.pop();
            }
        }
        _ => {}
    }
}

/// What stands at each place of each kind of entry, in all stories.
type Pool = BTreeMap<(String, String), BTreeSet<String>>;

fn pool(stories: &[(&str, Federation)]) -> Pool {
    let mut pool = Pool::new();
    for (_, f) in stories {
        for bytes in &f.entries {
            let kind = kind_of(&Entry::decode(bytes).unwrap().event);
            let value: Value = serde_json::from_slice(bytes).unwrap();
            let mut found = Vec::new();
            places(&value, &mut Vec::new(), &mut found);
            for path in found {
                let mut value = value.clone();
                let inner = at(&mut value, &path).to_string();
                pool.entry((kind.clone(), shown(&path))).or_default().insert(inner);
            }
        }
    }
    pool
}

/// Other values for the one at a place.
fn others(entry: &Value, path: &[Step], kind: &str, pool: &Pool) -> Vec<Value> {
    let mut entry = entry.clone();
    let value = at(&mut entry, path).clone();
    let mut others = Vec::new();
    match &value {
        Value::Bool(yes) => others.push(Value::Bool(!yes)),
        Value::Number(number) => match number.as_u64() {
            Some(number) => others.extend([number + 1, number.saturating_sub(1), 0].map(Value::from)),
            None => others.extend(number.as_f64().map(|number| Value::from(number / 2.0))),
        },
        Value::Array(items) => {
            if !items.is_empty() {
                others.push(Value::Array(items[1..].to_vec()));
                let twice = items.iter().chain(items.last()).cloned().collect();
                others.push(Value::Array(twice));
            }
        }
        Value::String(text) => {
            *at(&mut entry, path) = Value::from("?");
            let words = words_of::<Entry>(&entry);
            others.extend(words.into_iter().map(Value::from));
            if let Ok(instant) = text.parse::<Timestamp>() {
                let (hour, millisecond) = (Span::hours(1), Span::from_millis(1));
                let near = [instant + millisecond, instant - millisecond, instant + hour, instant - hour];
                others.extend(near.map(|instant| Value::from(instant.to_string())));
            } else if let Ok(version) = text.parse::<Version>() {
                others.push(Value::from(Version { patch: version.patch + 1, ..version }.to_string()));
            } else if text.len() > 1 {
                // Another digest, key, signature, name or sentence.
                for (from, to) in [(0, 1), (text.len() / 2, text.len() / 2 + 1)] {
                    let Some(old) = text.get(from..to) else { continue };
                    let new = if old == "1" { "2" } else { "1" };
                    others.push(Value::from(format!("{}{new}{}", &text[..from], &text[to..])));
                }
            }
        }
        // What may be absent: what any story has in its place.
        Value::Null | Value::Object(_) => {}
    }
    let seen = pool.get(&(kind.to_owned(), shown(path))).into_iter().flatten();
    let seen = seen.map(|text| serde_json::from_str(text).unwrap());
    others.extend(seen.filter(|other| *other != value).take(VALUES_MAX));
    others.dedup();
    others
}

/// What tells entries of a kind apart for this purpose: the rule, and which members are there.
fn shape_of(entry: &Entry) -> String {
    let value: Value = serde_json::from_slice(&entry.encode().unwrap()).unwrap();
    let mut found = Vec::new();
    places(&value, &mut Vec::new(), &mut found);
    let there = found.iter().filter(|path| !at(&mut value.clone(), path).is_null());
    let members: BTreeSet<String> = there.map(|path| shown(path)).collect();
    let evidence = entry.evidence.kind();
    let members = members.into_iter().filter(|member| !member.starts_with("evidence")).collect::<Vec<_>>();
    format!("{} {} {evidence} {}", kind_of(&entry.event), entry.rule, members.join(" "))
}

/// Every entry that differs from this one in one place and still reads as an entry.
fn mutants(entry: &Entry, pool: &Pool) -> Vec<(String, Entry)> {
    let kind = kind_of(&entry.event);
    let value: Value = serde_json::from_slice(&entry.encode().unwrap()).unwrap();
    let mut found = Vec::new();
    places(&value, &mut Vec::new(), &mut found);
    let mut mutants: Vec<(String, Value)> = Vec::new();
    for path in found {
        let place = shown(&path);
        // Another event as a whole is another decision, not a changed one.
        let whole = ["", "event", "event.world", "event.instance"].contains(&place.as_str())
            || (place == "event.instance[]" && at(&mut value.clone(), &path).is_object());
        for other in others(&value, &path, &kind, pool).into_iter().filter(|_| !whole) {
            let mut changed = value.clone();
            *at(&mut changed, &path) = other;
            mutants.push((place.clone(), changed));
        }
        // A field taken away, and one that entries of the same kind have.
        let mut inner = value.clone();
        if let Value::Object(fields) = at(&mut inner, &path).clone() {
            let name = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
            for key in fields.keys() {
                let mut changed = value.clone();
                at(&mut changed, &path).as_object_mut().unwrap().remove(key);
                mutants.push((name(key), changed));
            }
            let prefix = name("");
            for ((_, known), values) in pool.iter().filter(|((of, _), _)| *of == kind) {
                let Some(key) = known.strip_prefix(&prefix) else { continue };
                if key.is_empty() || key.contains(['.', '[']) || fields.contains_key(key) {
                    continue;
                }
                for text in values.iter().take(VALUES_MAX) {
                    let mut changed = value.clone();
                    at(&mut changed, &path)[key] = serde_json::from_str(text).unwrap();
                    mutants.push((name(key), changed));
                }
            }
        }
    }
    let mut seen = BTreeSet::new();
    let read = |(path, value): (String, Value)| {
        let changed: Entry = serde_json::from_value(value).ok()?;
        (changed != *entry && seen.insert(format!("{path} {}", serde_json::to_string(&changed).ok()?)))
            .then_some((path, changed))
    };
    mutants.into_iter().filter_map(read).collect()
}

/// Signed anew by the plane, where its signature stood or would do; rule and authority as the event has them, unless they are
/// what was changed.
fn signed_anew(path: &str, mut entry: Entry, f: &Federation) -> Entry {
    if path.starts_with("event") {
        entry.rule = entry.event.rule().to_owned();
        entry.authority = entry.event.authority();
    }
    let by_federation = matches!(entry.evidence, Evidence::Federation { .. });
    if (by_federation && !path.starts_with("evidence"))
        || (path.starts_with("event") && entry.authority == Authority::Federation)
    {
        let key = &f.directives;
        let signature = key.sign(&entry.decision().unwrap()).unwrap();
        entry.evidence = Evidence::Federation { key: key.key_id(), signature };
    }
    entry
}

/// A lawful log, and how far it was verified.
struct Told<'a> {
    name: &'a str,
    f: &'a Federation,
    /// Up to the entry before the one that is changed.
    good: Verifier,
    frontier: Frontier,
    /// What a witness or an agent saw of it.
    seen: TreeHead,
    /// What opens the commitments in it.
    openings: BTreeMap<Digest, Opening>,
}

impl Told<'_> {
    /// What becomes of the log when it goes on with these entries instead, tree and checkpoint made anew.
    fn fate(&self, rest: &[Vec<u8>]) -> (Fate, Breach) {
        let changed = self.frontier.size();
        let run = |mut verifier: Verifier| {
            rest.iter()
                .try_for_each(|bytes| verifier.push_opened(bytes, |of| self.openings.get(&of).cloned()))?;
            let mut frontier = self.frontier.clone();
            rest.iter().for_each(|bytes| {
                frontier.push(leaf_hash(bytes));
            });
            verifier.finish(&self.f.checkpoint_by(&self.f.ledger, frontier.head())).map(drop)
        };
        match run(self.good.clone()) {
            Err(breach) if breach.position == changed => (Fate::AtOnce, breach),
            Err(breach) => {
                assert!(breach.position > changed && !breach.rule.is_empty(), "{breach}");
                (Fate::Later, breach)
            }
            Ok(()) => match run(self.good.clone().remembering(self.seen)) {
                Err(breach) if breach.rule == "LG-2" => (Fate::ByMemory, breach),
                other => {
                    let entry = rest.first().map(|bytes| String::from_utf8_lossy(bytes));
                    panic!("{}: survived at {changed}: {other:?}: {entry:?}", self.name)
                }
            },
        }
    }
}

/// How many changed logs were made, and who found them.
#[derive(Default)]
struct Score {
    fates: BTreeMap<Fate, u64>,
    /// What the law alone did not find: kind, place, an example.
    unheld: BTreeMap<(String, String), String>,
}

impl Score {
    fn count(&mut self, kind: &str, place: &str, told: &Told<'_>, rest: &[Vec<u8>]) {
        let (fate, breach) = told.fate(rest);
        *self.fates.entry(fate).or_default() += 1;
        if fate == Fate::ByMemory {
            let example = || {
                let changed = rest.first().map(|bytes| String::from_utf8_lossy(bytes));
                format!("{}: {breach}\n{}", told.name, changed.unwrap_or_default())
            };
            self.unheld.entry((kind.to_owned(), place.to_owned())).or_insert_with(example);
        }
    }
}

/// The same entry once more as the last of the log: decided then, under the law of then.
fn once_more(entry: &Entry, f: &Federation) -> Vec<u8> {
    let again = Entry { at: f.at, constitution: f.world.constitution_digest, ..entry.clone() };
    signed_anew("at", again, f).encode().unwrap()
}

#[test]
fn lg_3_every_field_that_a_rule_rests_on_is_held() {
    let stories = stories::all();
    let pool = pool(&stories);
    let told: BTreeSet<String> = pool.keys().map(|(kind, _)| kind.clone()).collect();
    assert_eq!(all_kinds().difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "in no story");
    let mut score = Score::default();
    for (name, f) in &stories {
        let (good, frontier) = (Verifier::new(f.root(), None), Frontier::new());
        let openings = f.openings.iter().map(|opening| (opening.committed, opening.clone())).collect();
        let mut told = Told { name, f, good, frontier, seen: f.head(), openings };
        let mut of_shape: BTreeMap<String, usize> = BTreeMap::new();
        let mut ends = BTreeMap::new();
        for (position, bytes) in f.entries.iter().enumerate() {
            let entry = Entry::decode(bytes).unwrap();
            let kind = kind_of(&entry.event);
            let count = of_shape.entry(shape_of(&entry)).or_default();
            *count += 1;
            if *count <= OF_EACH_SHAPE {
                let rest = &f.entries[position..];
                for (place, mutant) in mutants(&entry, &pool) {
                    let mut changed = rest.to_vec();
                    changed[0] = signed_anew(&place, mutant, f).encode().unwrap();
                    score.count(&kind, &place, &told, &changed);
                }
                score.count(&kind, "(dropped)", &told, &rest[1..]);
                let twice: Vec<_> = rest[..1].iter().chain(rest).cloned().collect();
                score.count(&kind, "(twice)", &told, &twice);
                if rest.len() > 1 && rest[0] != rest[1] {
                    let mut swapped = rest.to_vec();
                    swapped.swap(0, 1);
                    score.count(&kind, "(swapped)", &told, &swapped);
                }
                ends.entry(kind).or_insert(entry);
            }
            let openings = &told.openings;
            let pushed = told.good.push_opened(bytes, |of| openings.get(&of).cloned());
            pushed.unwrap_or_else(|breach| panic!("{name}: {breach}"));
            told.frontier.push(leaf_hash(bytes));
        }
        for (kind, entry) in ends {
            score.count(&kind, "(once more)", &told, &[once_more(&entry, f)]);
        }
        told.good.finish(&f.checkpoint()).unwrap_or_else(|breach| panic!("{name}: {breach}"));
    }
    let made: u64 = score.fates.values().sum();
    let of = |fate| score.fates.get(&fate).copied().unwrap_or_default();
    println!(
        "mutation score: {made} killed of {made} made (100 %): {} at the changed entry, {} at a later one; {} more by a checkpoint \
         seen before alone: no rule rests on what was changed",
        of(Fate::AtOnce),
        of(Fate::Later),
        of(Fate::ByMemory)
    );
    let excused = |kind: &str, place: &str| {
        let within = |at: &str| match place.strip_prefix(at) {
            // Of a whole subject its id alone; of anything else what is inside too.
            Some(rest) => rest.is_empty() || (rest.starts_with('.') && !at.ends_with("[]")),
            None => false,
        };
        FREE.iter().position(|(of, at, _)| (*of == "*" || *of == kind) && within(at))
    };
    let mut used = BTreeSet::new();
    let mut unheld = Vec::new();
    for ((kind, place), example) in &score.unheld {
        match excused(kind, place) {
            Some(row) => {
                used.insert(row);
            }
            None => unheld.push(format!("{kind} {place}\n{example}")),
        }
    }
    assert!(unheld.is_empty(), "the law alone does not hold\n{}", unheld.join("\n"));
    let idle: Vec<_> = (0..FREE.len()).filter(|row| !used.contains(row)).map(|row| FREE[row]).collect();
    assert!(idle.is_empty(), "held by now, so no longer free: {idle:?}");
}
