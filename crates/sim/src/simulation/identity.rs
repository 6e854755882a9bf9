//! Who an instance is, by its number: id, keys, statements, kind and tier, temper. All of it follows from the seed.
//!
//! Never changes: what changes is the instance's record and its conduct.

use governance::{Digest, InstanceId, InstanceKey, Kind, StatementHead, Tier};

use super::book::{DAY, Hour};
use super::profile::Profile;
use super::random::{Dice, Purpose};

/// How an owner takes offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temper {
    /// Within hours.
    Prompt,
    /// In the next weekly window.
    Weekly,
    /// After weeks.
    Slow,
    /// Not before there is trouble.
    Refusing,
}

/// What an instance was born as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nature {
    pub(super) kind: Kind,
    pub(super) tier: Tier,
    pub(super) temper: Temper,
    /// When it joins.
    pub(super) joins: Hour,
}

pub(super) fn id_of(seed: u64, index: u32) -> InstanceId {
    InstanceId::from_random(Dice::of(seed, Purpose::Identity, u64::from(index), 0).bytes())
}

/// The key of its so many-th enrolment: bytes that no other key has.
pub(super) fn key_of(id: InstanceId, enrolment: u8) -> InstanceKey {
    InstanceKey::from_bytes(bytes_of(id, enrolment, 0))
}

/// The head of its chain after so many statements of this enrolment; the bytes stand for the statement's digest, and no
/// other statement has them.
pub(super) fn head_of(id: InstanceId, enrolment: u8, sequence: u32) -> Option<StatementHead> {
    let digest = Digest::from_bytes(bytes_of(id, enrolment, sequence));
    (sequence > 0).then(|| StatementHead { sequence: u64::from(sequence), digest })
}

fn bytes_of(id: InstanceId, enrolment: u8, sequence: u32) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (left, right) = bytes.split_at_mut(16);
    left.copy_from_slice(id.as_bytes());
    let rest = u64::from(enrolment) << 32 | u64::from(sequence);
    right.iter_mut().zip(rest.to_le_bytes()).for_each(|(to, from)| *to = from);
    bytes
}

impl Nature {
    pub(super) fn of(seed: u64, index: u32, profile: &Profile, hours: Hour) -> Self {
        let mut dice = Dice::of(seed, Purpose::Nature, u64::from(index), 0);
        let (kind, tier) = match dice.below(100) {
            0..45 => (Kind::SaasShared, Tier::Free),
            45..80 => (Kind::SaasShared, Tier::Pro),
            80..94 => (Kind::Dedicated, Tier::Enterprise),
            _ => (Kind::WhiteLabel, Tier::Custom),
        };
        let draw = dice.below(10_000);
        let (refusing, slow) = (profile.refusing, profile.refusing + profile.slow);
        let temper = match draw {
            draw if draw < refusing => Temper::Refusing,
            draw if draw < slow => Temper::Slow,
            draw if draw < slow + profile.weekly => Temper::Weekly,
            _ => Temper::Prompt,
        };
        // Four of five are there on the first day; the others join over all the time.
        let joins = if dice.below(5) > 0 { dice.below(DAY) } else { dice.below(hours.max(1)) };
        Self { kind, tier, temper, joins }
    }
}
