//! Which waiting commits share a transaction: as many as touch nothing that another of them touches, in their order.
//!
//! Two that touch the same thing go one after the other, in transactions of their own: so each batch can be written by
//! sets, and is what its commits would be in a row.

use std::collections::{HashSet, VecDeque};

use crate::limits::{BATCH_MAX, ENTRIES_MAX};
use crate::rows::{EnrolmentRow, Writing};

/// Bytes of one batch, but for a single commit that has more.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Ledger entries of one batch.
const BATCH_ENTRIES_MAX: usize = 8 * ENTRIES_MAX;
/// Waiting commits that are looked at for one batch.
const LOOK_MAX: usize = 4 * BATCH_MAX;

/// A thing that one commit of a batch may touch, and no other.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Thing {
    Nonce(String, String),
    Enrolment(String),
    Instance(String),
    Document(String, String),
}

fn things(writing: &Writing) -> Vec<Thing> {
    let nonce = writing.nonce.iter().map(|nonce| Thing::Nonce(nonce.key.clone(), nonce.nonce.clone()));
    let enrolment = writing.enrolment.iter().map(|row| Thing::Enrolment(row.digest().to_owned()));
    let instance = writing.instance.iter().map(|row| Thing::Instance(row.instance_id.clone()));
    let document =
        |document: &plane::ports::Document| Thing::Document(document.kind.clone(), document.name.clone());
    nonce.chain(enrolment).chain(instance).chain(writing.documents.iter().map(document)).collect()
}

fn bytes(writing: &Writing) -> usize {
    let entries: usize = writing.entries.iter().map(Vec::len).sum();
    let documents: usize = writing.documents.iter().map(|document| document.bytes.len()).sum();
    let bodies = writing.instance.as_ref().map_or(0, |row| row.body.len());
    entries + documents + bodies + writing.world.as_ref().map_or(0, String::len)
}

/// Takes the next batch out of what waits; what stays keeps its order.
pub(super) fn next<T: AsRef<Writing>>(waiting: &mut VecDeque<T>) -> Vec<T> {
    let (mut batch, mut passed): (Vec<T>, Vec<T>) = (Vec::new(), Vec::new());
    let mut taken: HashSet<Thing> = HashSet::new();
    let (mut weight, mut entries, mut open) = (0, 0, true);
    while open && batch.len() < BATCH_MAX && batch.len() + passed.len() < LOOK_MAX {
        let Some(job) = waiting.pop_front() else { break };
        let writing = job.as_ref();
        let (touched, own, appended) = (things(writing), bytes(writing), writing.entries.len());
        let fits =
            batch.is_empty() || (weight + own <= BATCH_BYTES_MAX && entries + appended <= BATCH_ENTRIES_MAX);
        let free = !touched.iter().any(|thing| taken.contains(thing));
        // What is passed over is touched too: nobody overtakes in what it waits for.
        taken.extend(touched);
        if !fits || !free {
            open = fits;
            passed.push(job);
            continue;
        }
        // Behind a change of the world nothing stands that was decided on the world before.
        open = writing.world.is_none();
        (weight, entries) = (weight + own, entries + appended);
        batch.push(job);
    }
    for job in passed.into_iter().rev() {
        waiting.push_front(job);
    }
    batch
}

impl EnrolmentRow {
    pub(super) fn digest(&self) -> &str {
        match self {
            Self::Create { digest, .. } | Self::Approve { digest, .. } | Self::Use { digest, .. } => digest,
        }
    }
}

#[cfg(test)]
mod tests {
    use plane::ports::{Commit, Document, EnrolmentWrite};

    use super::*;
    use crate::conformance::fixture::{digest, enrolment, enrolment_use, instance, nonce, writes};

    struct Job(usize, Writing);

    impl AsRef<Writing> for Job {
        fn as_ref(&self) -> &Writing {
            &self.1
        }
    }

    /// The batches of these commits, each by the places of its commits.
    fn batches(commits: Vec<Commit>) -> Vec<Vec<usize>> {
        let jobs = commits.into_iter().enumerate().map(|(at, commit)| Job(at, Writing::new(commit).unwrap()));
        let mut waiting: VecDeque<Job> = jobs.collect();
        let mut batches = Vec::new();
        while !waiting.is_empty() {
            batches.push(next(&mut waiting).iter().map(|job| job.0).collect());
        }
        batches
    }

    fn of(number: u64) -> Commit {
        writes(instance(number), None)
    }

    #[test]
    fn what_touches_the_same_goes_one_after_the_other() {
        let spends = |number, nonce| Commit { nonce: Some(nonce), ..of(number) };
        let document =
            |name: &str| Document { kind: "order".to_owned(), name: name.to_owned(), bytes: vec![] };
        let keeps = |name| Commit { documents: vec![document(name)], ..Commit::default() };
        let enrols = |write| Commit { enrolment: Some(write), ..Commit::default() };
        let uses = EnrolmentWrite::Use { digest: digest(1), used: enrolment_use(1) };
        assert_eq!(batches(vec![of(1), of(2), of(3)]), [vec![0, 1, 2]]);
        assert_eq!(batches(vec![of(1), of(2), of(1), of(1)]), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(batches(vec![spends(1, nonce(1)), spends(2, nonce(1))]), [[0], [1]]);
        assert_eq!(batches(vec![enrols(EnrolmentWrite::Create(enrolment(1))), enrols(uses)]), [[0], [1]]);
        assert_eq!(batches(vec![keeps("7"), keeps("8"), keeps("7")]), [vec![0, 1], vec![2]]);
        // 1 waits for 0, and 2 for 1: it does not overtake.
        assert_eq!(batches(vec![of(1), spends(1, nonce(5)), spends(2, nonce(5))]), [[0], [1], [2]]);
    }

    #[test]
    fn a_change_of_the_world_closes_its_batch() {
        let world = || Commit { world: Some(Box::default()), ..Commit::default() };
        assert_eq!(batches(vec![of(1), world(), of(2), world(), of(3)]), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn a_batch_has_a_size() {
        assert_eq!(batches((0..BATCH_MAX as u64 + 1).map(of).collect()).len(), 2);
        let heavy = |name: &str| Commit {
            documents: vec![Document {
                kind: "a".to_owned(),
                name: name.to_owned(),
                bytes: vec![0; BATCH_BYTES_MAX / 2],
            }],
            ..Commit::default()
        };
        assert_eq!(batches(vec![heavy("1"), heavy("2"), heavy("3")]), [vec![0, 1], vec![2]]);
        let appends = || Commit { entries: vec![vec![]; ENTRIES_MAX], ..Commit::default() };
        assert_eq!(batches((0..9).map(|_| appends()).collect()).len(), 2);
    }
}
