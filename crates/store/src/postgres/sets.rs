//! What a batch writes, as the arrays of its statements, each in the order of its keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::rows::{EnrolmentRow, InstanceRow, Writing, signed};

/// The arrays.
#[derive(Default)]
pub(super) struct Sets<'a> {
    pub(super) nonces: Nonces<'a>,
    pub(super) creates: Creates<'a>,
    pub(super) changes: Changes<'a>,
    pub(super) leases: Leases<'a>,
    /// Instances that are.
    pub(super) known: Instances<'a>,
    /// Instances to be.
    pub(super) new: Instances<'a>,
    pub(super) entries: Entries<'a>,
    pub(super) documents: Documents<'a>,
    /// The world's body, where it changes.
    pub(super) world: Option<&'a str>,
}

#[derive(Default)]
pub(super) struct Nonces<'a> {
    pub(super) keys: Vec<&'a str>,
    pub(super) nonces: Vec<&'a str>,
    pub(super) expires: Vec<i64>,
}

#[derive(Default)]
pub(super) struct Creates<'a> {
    pub(super) digests: Vec<&'a str>,
    pub(super) expires: Vec<i64>,
    pub(super) bodies: Vec<&'a str>,
    pub(super) used: Vec<Option<&'a str>>,
    pub(super) instances: Vec<Option<&'a str>>,
}

#[derive(Default)]
pub(super) struct Changes<'a> {
    pub(super) digests: Vec<&'a str>,
    pub(super) approved: Vec<Option<&'a str>>,
    pub(super) used: Vec<Option<&'a str>>,
    pub(super) count: i64,
}

#[derive(Default)]
pub(super) struct Leases<'a> {
    pub(super) names: Vec<&'a str>,
    pub(super) fences: Vec<i64>,
    pub(super) count: i64,
}

#[derive(Default)]
pub(super) struct Instances<'a> {
    pub(super) ids: Vec<&'a str>,
    pub(super) revisions: Vec<i64>,
    pub(super) states: Vec<&'a str>,
    pub(super) platforms: Vec<&'a str>,
    pub(super) kinds: Vec<&'a str>,
    pub(super) tiers: Vec<&'a str>,
    pub(super) providers: Vec<Option<&'a str>>,
    pub(super) listed_until: Vec<Option<i64>>,
    pub(super) bodies: Vec<&'a str>,
    pub(super) count: i64,
}

#[derive(Default)]
pub(super) struct Entries<'a> {
    pub(super) count: i64,
    /// Each entry's place in the batch, its bytes, and whom it is about.
    pub(super) places: Vec<i64>,
    pub(super) bodies: Vec<&'a [u8]>,
    pub(super) about: Vec<Option<&'a str>>,
    /// Of each commit with entries the place of its first, and how many.
    pub(super) firsts: Vec<i64>,
    pub(super) counts: Vec<i64>,
}

#[derive(Default)]
pub(super) struct Documents<'a> {
    pub(super) kinds: Vec<&'a str>,
    pub(super) names: Vec<&'a str>,
    pub(super) bytes: Vec<&'a [u8]>,
}

/// A number of rows, which are few.
pub(super) fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

impl<'a> Sets<'a> {
    /// The arrays of these commits, no two of which touch the same.
    pub(super) fn of(batch: &[&'a Writing]) -> Self {
        let mut sets = Self::default();
        sets.nonces(batch);
        sets.enrolments(batch);
        sets.leases(batch);
        let instances = || batch.iter().filter_map(|writing| writing.instance.as_ref());
        sets.known = Instances::of(instances().filter(|row| row.decided_on.is_some()));
        sets.new = Instances::of(instances().filter(|row| row.decided_on.is_none()));
        sets.appended(batch);
        sets.documents(batch);
        sets.world = batch.iter().find_map(|writing| writing.world.as_deref());
        sets
    }

    fn nonces(&mut self, batch: &[&'a Writing]) {
        let mut rows: Vec<_> = batch.iter().filter_map(|writing| writing.nonce.as_ref()).collect();
        rows.sort_unstable_by(|one, other| (&one.key, &one.nonce).cmp(&(&other.key, &other.nonce)));
        for row in rows {
            self.nonces.keys.push(&row.key);
            self.nonces.nonces.push(&row.nonce);
            self.nonces.expires.push(row.expires.as_millis());
        }
    }

    fn enrolments(&mut self, batch: &[&'a Writing]) {
        let mut rows: Vec<_> = batch.iter().filter_map(|writing| writing.enrolment.as_ref()).collect();
        rows.sort_unstable_by_key(|row| row.digest());
        for row in rows {
            match row {
                EnrolmentRow::Create { digest, expires, body, used, instance_id } => {
                    self.creates.digests.push(digest);
                    self.creates.expires.push(*expires);
                    self.creates.bodies.push(body);
                    self.creates.used.push(used.as_deref());
                    self.creates.instances.push(instance_id.as_deref());
                }
                EnrolmentRow::Approve { digest, by } => self.changes.push(digest, Some(by), None),
                EnrolmentRow::Use { digest, used } => self.changes.push(digest, None, Some(used)),
            }
        }
    }

    fn leases(&mut self, batch: &[&'a Writing]) {
        let fences = batch.iter().filter_map(|writing| writing.fence.as_ref());
        let fences: BTreeSet<_> =
            fences.map(|fence| (fence.lease.as_str(), signed(fence.fence).unwrap_or(-1))).collect();
        self.leases.count = count(fences.len());
        (self.leases.names, self.leases.fences) = fences.into_iter().unzip();
    }

    fn appended(&mut self, batch: &[&'a Writing]) {
        let entries = &mut self.entries;
        for writing in batch.iter().filter(|writing| !writing.entries.is_empty()) {
            entries.firsts.push(entries.count);
            entries.counts.push(count(writing.entries.len()));
            let instance = writing.instance.as_ref().map(|row| row.instance_id.as_str());
            for (index, entry) in writing.entries.iter().enumerate() {
                entries.places.push(entries.count);
                entries.bodies.push(entry);
                entries.about.push(instance.filter(|_| writing.about_instance.contains(&index)));
                entries.count += 1;
            }
        }
    }

    fn documents(&mut self, batch: &[&'a Writing]) {
        let documents = batch.iter().flat_map(|writing| &writing.documents);
        // Of one name the last, as if they were written in a row.
        let documents: BTreeMap<_, _> = documents
            .map(|document| ((document.kind.as_str(), document.name.as_str()), document.bytes.as_slice()))
            .collect();
        for ((kind, name), bytes) in documents {
            self.documents.kinds.push(kind);
            self.documents.names.push(name);
            self.documents.bytes.push(bytes);
        }
    }
}

impl<'a> Changes<'a> {
    fn push(&mut self, digest: &'a str, approved: Option<&'a str>, used: Option<&'a str>) {
        self.digests.push(digest);
        self.approved.push(approved);
        self.used.push(used);
        self.count += 1;
    }
}

impl<'a> Instances<'a> {
    fn of(rows: impl Iterator<Item = &'a InstanceRow>) -> Self {
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable_by_key(|row| row.instance_id.as_str());
        let mut set = Self { count: count(rows.len()), ..Self::default() };
        for row in rows {
            set.ids.push(&row.instance_id);
            // One that the database never gave is nobody's.
            set.revisions.push(signed(row.decided_on.unwrap_or(0)).unwrap_or(-1));
            set.states.push(row.state);
            set.platforms.push(&row.platform);
            set.kinds.push(row.kind);
            set.tiers.push(row.tier);
            set.providers.push(row.provider.as_deref());
            set.listed_until.push(row.listed_until);
            set.bodies.push(&row.body);
        }
        set
    }
}
