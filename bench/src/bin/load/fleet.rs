//! Instances that are in the store and never call: what the law makes of them, written by the store's own port before the server
//! starts. No ledger entries stand behind them: what is measured is what a check-in costs beside so many.

use std::ops::Range;

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use governance::decide::{Command, decide, register};
use governance::reconcile::reconcile;
use governance::{
    Committed, Digest, Instance, InstanceId, InstanceKey, Kind, Registration, Running, Salt, Tier, Timestamp,
    World,
};
use plane::ports::{Commit, Store};
use store::{AnyStore, Place};

use crate::clients::{PLATFORM, layers};
use crate::federation::now;

/// Commits under way at once: a few of the writer's batches.
const AT_ONCE: usize = 1_024;

/// Adds the instances of these numbers.
pub(crate) fn fill(rows: Place, numbers: Range<u64>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { write(&AnyStore::open(rows).await?, numbers).await })
}

async fn write(store: &impl Store, numbers: Range<u64>) -> anyhow::Result<()> {
    let (world, world_revision) = store.world_load().await?;
    ensure!(world_revision > 0, "the federation must be founded before its fleet is filled");
    let at = now();
    let world = &world;
    let commits = futures_util::stream::iter(numbers).map(|number| async move {
        let instance = Box::new(instance(number, world, at)?);
        store
            .commit(Commit { instance: Some((instance, None)), world_revision, ..Commit::default() })
            .await
            .with_context(|| format!("instance {number}"))
    });
    let mut commits = commits.buffer_unordered(AT_ONCE);
    while let Some(committed) = commits.next().await {
        committed?;
    }
    Ok(())
}

/// A registered, deployed instance with nothing due.
fn instance(number: u64, world: &World, at: Timestamp) -> anyhow::Result<Instance> {
    let digest = Digest::of(&number.to_le_bytes());
    let (mut id, mut salt) = ([0; 16], [0; 16]);
    let (first, second) = digest.as_bytes().split_at(16);
    id.copy_from_slice(first);
    salt.copy_from_slice(second);
    let salt = Salt::from_random(salt);
    let key = InstanceKey::from_bytes(*digest.as_bytes());
    let registration = Registration {
        enrolment: digest,
        kind: Kind::SaasShared,
        tier: Tier::Free,
        provider: None,
        labels: Committed::new(salt, Vec::new()),
        endpoint: Committed::new(salt, "https://instance.example/".parse()?),
        key,
        running: Running { platform: PLATFORM, runtime: PLATFORM, layers: layers(PLATFORM) },
        domains: Vec::new(),
    };
    let mut instance = Instance::registered(InstanceId::from_random(id), &registration, at);
    for event in register(&registration, world)? {
        instance.apply(&event, at);
    }
    let serial = digest.to_string().chars().filter(char::is_ascii_hexdigit).take(32).collect();
    let not_after = at + world.constitution.identity_certificate_lifetime;
    for command in [Command::Certify { key, serial, not_after }, Command::Ready] {
        for event in decide(&instance, &command, world, at)? {
            instance.apply(&event, at);
        }
    }
    for event in reconcile(&instance, world, at) {
        instance.apply(&event, at);
    }
    Ok(instance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::State;

    #[test]
    fn what_is_written_is_lawful_and_at_rest() {
        let world = World::default();
        let at = Timestamp::from_millis(1_767_225_600_000);
        let instance = instance(7, &world, at).expect("lawful");
        assert_eq!(instance.state, State::Active);
        assert!(reconcile(&instance, &world, at).is_empty());
        let other = super::instance(8, &world, at).expect("lawful");
        assert!(instance.id != other.id && instance.key != other.key);
    }
}
