//! How a batch is written: at first as if every guard held, in one flight; where one did not, carefully, in two.
//!
//! The first flight carries its own COMMIT, and a guard that fails in it ends the transaction before that. Careful is: take what
//! is new, lock what is known, take the head; judge each commit by what is found, in the order of its guards; give back
//! what those refused had taken; write the others.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use plane::ports::{Committed, Revision, StoreError};

use super::flight::{Fault, Flight, Wing, values};
use super::read::{column, number};
use super::sets::Sets;
use crate::rows::{EnrolmentRow, Writing, signed};

/// How often a transaction that came into another's way is tried.
const TRIES_MAX: usize = 8;

/// What came of one commit.
pub(super) type Outcome = Result<Committed, StoreError>;

/// Writes a batch, no two of which touch the same; answers each of its commits, in order.
///
/// # Errors
/// A fault that is nobody's own: none of the batch was answered, and but for a lost connection nothing of it is written.
pub(super) async fn write(wing: &Wing, batch: &[&Writing], within: Duration) -> Result<Vec<Outcome>, Fault> {
    if let Some(revision) = one_world(batch) {
        match hopeful(wing, batch, revision, within).await {
            Err(Fault::Guard(_) | Fault::Again(_)) => {}
            outcome => return outcome,
        }
    }
    match careful(wing, batch, within).await {
        Err(Fault::Guard(_)) if batch.len() > 1 => {}
        Err(Fault::Guard(why)) => return Ok(vec![Err(StoreError::Unavailable(why))]),
        outcome => return outcome,
    }
    // One of them carries what cannot be stored: it is alone with that.
    let mut outcomes = Vec::with_capacity(batch.len());
    for writing in batch {
        match careful(wing, &[writing], within).await {
            Ok(outcome) => outcomes.extend(outcome),
            Err(Fault::Guard(why)) => outcomes.push(Err(StoreError::Unavailable(why))),
            Err(fault) => return Err(fault),
        }
    }
    Ok(outcomes)
}

/// The revision of the world that all of them were decided on, if it is one that can be.
fn one_world(batch: &[&Writing]) -> Option<i64> {
    let first = batch.first()?.world_revision;
    batch.iter().all(|writing| writing.world_revision == first).then_some(signed(first)).flatten()
}

async fn hopeful(
    wing: &Wing,
    batch: &[&Writing],
    revision: i64,
    within: Duration,
) -> Result<Vec<Outcome>, Fault> {
    let (of, sets) = (wing.statements(), Sets::of(batch));
    let mut flight = Flight::new(&wing.link);
    flight.say("BEGIN");
    let nonces = &sets.nonces;
    flight.ask_if(!nonces.keys.is_empty(), &of.nonces, vec![&nonces.keys, &nonces.nonces, &nonces.expires]);
    let creates = &sets.creates;
    flight.ask_if(
        !creates.digests.is_empty(),
        &of.enrolments,
        vec![&creates.digests, &creates.expires, &creates.bodies, &creates.used, &creates.instances],
    );
    change_enrolments(&mut flight, wing, &sets);
    let leases = &sets.leases;
    flight.ask_if(leases.count > 0, &of.leases, vec![&leases.names, &leases.fences, &leases.count]);
    change_instances(&mut flight, wing, &sets);
    flight.ask_if(sets.new.count > 0, &of.instances, values(&sets.new));
    let first = flight.append(of, &sets);
    flight.world(of, &sets, &revision);
    flight.say("COMMIT");
    let answers = flight.fly(within).await?;
    let first = answers.get(first).and_then(|rows| rows.first()).and_then(|row| number(row, 0).ok());
    let first = first.ok_or_else(no_head)?;
    Ok(accepted(batch, first).map(Ok).collect())
}

fn change_enrolments<'a>(flight: &mut Flight<'a>, wing: &'a Wing, sets: &'a Sets<'a>) {
    let changes = &sets.changes;
    flight.ask_if(
        changes.count > 0,
        &wing.statements().enrolments_change,
        vec![&changes.digests, &changes.approved, &changes.used, &changes.count],
    );
}

fn change_instances<'a>(flight: &mut Flight<'a>, wing: &'a Wing, sets: &'a Sets<'a>) {
    let mut columns = values(&sets.known);
    columns.push(&sets.known.count);
    flight.ask_if(sets.known.count > 0, &wing.statements().instances_change, columns);
}

/// What each commit became, where all of them were written from this position on.
fn accepted<'a>(batch: &'a [&Writing], first: u64) -> impl Iterator<Item = Committed> + 'a {
    let mut ledger_size = first;
    batch.iter().map(move |writing| {
        ledger_size += writing.entries.len() as u64;
        let revision = |decided_on: Option<Revision>| decided_on.unwrap_or(0) + 1;
        Committed {
            instance_revision: writing.instance.as_ref().map_or(0, |row| revision(row.decided_on)),
            world_revision: writing.world_revision + u64::from(writing.world.is_some()),
            ledger_size,
        }
    })
}

fn no_head() -> Fault {
    Fault::Refused("the ledger has no head: the database was changed by another program".to_owned())
}

async fn careful(wing: &Wing, batch: &[&Writing], within: Duration) -> Result<Vec<Outcome>, Fault> {
    let mut last = String::new();
    for _ in 0..TRIES_MAX {
        match carefully(wing, batch, within).await {
            Err(Fault::Again(why)) => last = why,
            outcome => return outcome,
        }
    }
    Err(Fault::Refused(format!("in others' way {TRIES_MAX} times: {last}")))
}

async fn carefully(wing: &Wing, batch: &[&Writing], within: Duration) -> Result<Vec<Outcome>, Fault> {
    let outcome = async {
        let found = Found::take(wing, batch, within).await?;
        settle(wing, batch, &found, within).await
    };
    let outcome = outcome.await;
    if !matches!(outcome, Ok(_) | Err(Fault::Lost(_))) {
        let mut flight = Flight::new(&wing.link);
        flight.say("ROLLBACK");
        flight.fly(within).await?;
    }
    outcome
}

/// What a batch found when it had locked all that it touches.
struct Found {
    nonces: HashSet<(String, String)>,
    created: HashSet<String>,
    /// Of each enrolment, whether it is used and approved.
    enrolments: HashMap<String, (bool, bool)>,
    leases: HashMap<String, i64>,
    made: HashSet<String>,
    instances: HashMap<String, i64>,
    size: u64,
    world: Revision,
}

impl Found {
    /// Begins the transaction; whatever it gives back, that is still open.
    async fn take(wing: &Wing, batch: &[&Writing], within: Duration) -> Result<Self, Fault> {
        let (of, sets) = (wing.statements(), Sets::of(batch));
        let mut flight = Flight::new(&wing.link);
        flight.say("BEGIN");
        let (nonces, creates) = (&sets.nonces, &sets.creates);
        let at_nonces = flight.ask(&of.nonces_claim, vec![&nonces.keys, &nonces.nonces, &nonces.expires]);
        let at_created = flight.ask(
            &of.enrolments_claim,
            vec![&creates.digests, &creates.expires, &creates.bodies, &creates.used, &creates.instances],
        );
        let at_enrolments = flight.ask(&of.enrolments_lock, vec![&sets.changes.digests]);
        let at_leases = flight.ask(&of.leases_lock, vec![&sets.leases.names]);
        let at_instances = flight.ask(&of.instances_lock, vec![&sets.known.ids]);
        let at_made = flight.ask(&of.instances_claim, values(&sets.new));
        let at_head = flight.ask(&of.head_lock, vec![]);
        let at_world = flight.ask(&of.world, vec![]);
        let answers = flight.fly(within).await?;
        let rows = |at: usize| answers.get(at).map_or(&[][..], Vec::as_slice);
        let read = || -> Result<Self, StoreError> {
            let text = |row, at| column::<String>(row, at);
            let first = |at: usize| rows(at).first().map(|row| number(row, 0)).transpose();
            Ok(Self {
                nonces: rows(at_nonces)
                    .iter()
                    .map(|row| Ok((text(row, 0)?, text(row, 1)?)))
                    .collect::<Result<_, StoreError>>()?,
                created: rows(at_created).iter().map(|row| text(row, 0)).collect::<Result<_, _>>()?,
                enrolments: rows(at_enrolments)
                    .iter()
                    .map(|row| Ok((text(row, 0)?, (column(row, 1)?, column(row, 2)?))))
                    .collect::<Result<_, StoreError>>()?,
                leases: pairs(rows(at_leases))?,
                made: rows(at_made).iter().map(|row| text(row, 0)).collect::<Result<_, _>>()?,
                instances: pairs(rows(at_instances))?,
                size: first(at_head)?.ok_or_else(|| StoreError::Unavailable("no head".to_owned()))?,
                world: first(at_world)?.unwrap_or(0),
            })
        };
        read().map_err(|_| no_head())
    }

    /// The guards of a commit, in the order that every adapter asks them in.
    fn judge(&self, writing: &Writing) -> Result<(), StoreError> {
        if let Some(nonce) = &writing.nonce
            && !self.nonces.contains(&(nonce.key.clone(), nonce.nonce.clone()))
        {
            return Err(StoreError::NonceSpent);
        }
        match &writing.enrolment {
            None => {}
            Some(EnrolmentRow::Create { digest, .. }) if self.created.contains(digest) => {}
            Some(EnrolmentRow::Create { .. }) => return Err(StoreError::Conflict("enrolment")),
            Some(EnrolmentRow::Approve { digest, .. }) => match self.enrolments.get(digest) {
                Some((false, false)) => {}
                _ => return Err(StoreError::Conflict("enrolment")),
            },
            Some(EnrolmentRow::Use { digest, .. }) => match self.enrolments.get(digest) {
                None => return Err(StoreError::Conflict("enrolment")),
                Some((true, _)) => return Err(StoreError::EnrolmentUsed),
                Some(_) => {}
            },
        }
        if let Some(fence) = &writing.fence {
            let held = self.leases.get(&fence.lease).copied();
            if held.is_none() || held != signed(fence.fence) {
                return Err(StoreError::Conflict("lease"));
            }
        }
        if writing.world_revision != self.world {
            return Err(StoreError::Conflict("world"));
        }
        let Some(row) = &writing.instance else { return Ok(()) };
        let stands = match row.decided_on {
            None => self.made.contains(&row.instance_id),
            Some(revision) => self.instances.get(&row.instance_id).copied() == signed(revision),
        };
        // A revision that no row has is not that of a row that is not there.
        let known = row.decided_on.is_none() || self.instances.contains_key(&row.instance_id);
        if stands && known { Ok(()) } else { Err(StoreError::Conflict("instance")) }
    }
}

fn pairs(rows: &[tokio_postgres::Row]) -> Result<HashMap<String, i64>, StoreError> {
    rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
}

/// Writes those that stand, and ends the transaction.
async fn settle(
    wing: &Wing,
    batch: &[&Writing],
    found: &Found,
    within: Duration,
) -> Result<Vec<Outcome>, Fault> {
    let of = wing.statements();
    let verdicts: Vec<Result<(), StoreError>> = batch.iter().map(|writing| found.judge(writing)).collect();
    let part = |standing: bool| {
        let with = batch.iter().zip(&verdicts).filter(move |(_, verdict)| verdict.is_ok() == standing);
        with.map(|(writing, _)| *writing).collect::<Vec<&Writing>>()
    };
    let (standing, refused) = (part(true), part(false));
    let (sets, back) = (Sets::of(&standing), Sets::of(&refused));
    // What those refused had taken; of what another had taken before, nothing is theirs to give back.
    let mine =
        |(key, nonce): &(&&str, &&str)| found.nonces.contains(&((**key).to_owned(), (**nonce).to_owned()));
    let (keys, nonces): (Vec<&str>, Vec<&str>) =
        back.nonces.keys.iter().zip(&back.nonces.nonces).filter(mine).unzip();
    let created: Vec<&str> =
        back.creates.digests.iter().copied().filter(|digest| found.created.contains(*digest)).collect();
    let made: Vec<&str> = back.new.ids.iter().copied().filter(|id| found.made.contains(*id)).collect();
    let revision = signed(found.world).ok_or_else(no_head)?;

    let mut flight = Flight::new(&wing.link);
    flight.ask_if(!keys.is_empty(), &of.nonces_give_back, vec![&keys, &nonces]);
    flight.ask_if(!created.is_empty(), &of.enrolments_give_back, vec![&created]);
    flight.ask_if(!made.is_empty(), &of.instances_give_back, vec![&made]);
    change_enrolments(&mut flight, wing, &sets);
    change_instances(&mut flight, wing, &sets);
    flight.append(of, &sets);
    if sets.world.is_some() {
        flight.world(of, &sets, &revision);
    }
    flight.say("COMMIT");
    flight.fly(within).await?;
    let mut accepted = accepted(&standing, found.size);
    let outcome = |verdict: Result<(), StoreError>| {
        verdict.and_then(|()| accepted.next().ok_or(StoreError::Conflict("store")))
    };
    Ok(verdicts.into_iter().map(outcome).collect())
}
