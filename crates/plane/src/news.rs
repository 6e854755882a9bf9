//! News: that a check-in may bring an instance something, and why. Nothing else: what is to be done it is told in the answer,
//! which is signed.
//!
//! Costs nothing for those who do not listen: what is news to everybody goes through those who do, what is news to one instance
//! looks for that one. Whoever is slow finds the most urgent word that came meanwhile, and never a queue.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governance::rollout::RolloutStatus;
use governance::{Class, Instance, InstanceEvent, InstanceId, InstanceKey, RolloutId, Span, State, World};
use tokio::sync::Notify;

/// Listeners that are told between two looks at the list: whoever comes or goes meanwhile waits no longer than for these.
const TOLD_AT_ONCE: usize = 1_024;

/// Why an instance should look, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A security release is open to whoever lacks it.
    Security,
    /// The red switch was turned (RO-6).
    RedSwitch,
    /// The plane wants an answer to a challenge (HS-8).
    Challenge,
    /// Something is on offer, or no more.
    Offer,
    /// Something else about the instance changed: its state, what is found against it.
    Standing,
    /// Another constitution or keys document is in force (FO-5, AU-4).
    Law,
    /// A freeze was set or lifted (RO-6).
    Freeze,
    /// It has only begun to listen: what came before it did not hear.
    Opened,
}

impl Why {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Security,
        Self::RedSwitch,
        Self::Challenge,
        Self::Offer,
        Self::Standing,
        Self::Law,
        Self::Freeze,
        Self::Opened,
    ];

    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::RedSwitch => "red-switch",
            Self::Challenge => "challenge",
            Self::Offer => "offer",
            Self::Standing => "standing",
            Self::Law => "law",
            Self::Freeze => "freeze",
            Self::Opened => "opened",
        }
    }
}

/// One piece of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// Why.
    pub why: Why,
    /// Whether it is for now; otherwise those who hear it are to spread.
    pub urgent: bool,
}

impl News {
    /// For now.
    pub(crate) const fn urgent(why: Why) -> Self {
        Self { why, urgent: true }
    }

    /// For some time soon.
    pub(crate) const fn soon(why: Why) -> Self {
        Self { why, urgent: false }
    }

    /// Its place among the bits of a box: what is urgent stands before what is not.
    fn bit(self) -> u32 {
        let place = Why::ALL.iter().position(|why| *why == self.why).unwrap_or_default();
        1 << (place + if self.urgent { 0 } else { Why::ALL.len() })
    }

    /// The most urgent of a box.
    fn first(bits: u32) -> Option<Self> {
        let all = [true, false].into_iter().flat_map(|urgent| Why::ALL.iter().map(move |why| (*why, urgent)));
        all.map(|(why, urgent)| Self { why, urgent }).find(|news| bits & news.bit() != 0)
    }
}

/// That nobody listens here any more.
const ENDED: u32 = 1 << 31;

/// What came since its listener looked last.
#[derive(Debug, Default)]
struct Letterbox {
    bits: AtomicU32,
    bell: Notify,
    /// What its listener holds while he listens: given up when he is to listen no longer, whether he hears of it or not.
    place: Mutex<Option<Box<dyn Place>>>,
}

/// What a listener holds while he listens.
trait Place: std::fmt::Debug + Send + Sync {}
impl<T: std::fmt::Debug + Send + Sync> Place for T {}

impl Letterbox {
    fn put(&self, bits: u32) {
        self.bits.fetch_or(bits, Ordering::AcqRel);
        self.bell.notify_one();
    }

    /// Its listener is to listen no longer.
    fn end(&self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.put(ENDED);
    }
}

/// Where news goes out.
#[derive(Debug, Default)]
pub struct Newsroom {
    boxes: Mutex<BTreeMap<InstanceId, Arc<Letterbox>>>,
}

/// An instance that listens, until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    room: Arc<Newsroom>,
    id: InstanceId,
    letters: Arc<Letterbox>,
}

impl Subscription {
    /// Waits for news: the most urgent of what came; none when another took its place, or it is to listen no longer. May be
    /// dropped while it waits: nothing is lost.
    pub async fn next(&self) -> Option<News> {
        loop {
            let bits = self.letters.bits.fetch_and(ENDED, Ordering::AcqRel);
            if bits & ENDED != 0 {
                return None;
            }
            if let Some(news) = News::first(bits) {
                return Some(news);
            }
            self.letters.bell.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut boxes = self.room.boxes();
        if boxes.get(&self.id).is_some_and(|letters| Arc::ptr_eq(letters, &self.letters)) {
            boxes.remove(&self.id);
        }
    }
}

impl Newsroom {
    /// Lets an instance listen; whoever listened as the same instance before listens no longer. The first news is that it
    /// listens.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, id: InstanceId) -> Subscription {
        self.subscribe_in((), id)
    }

    /// The same, of a listener who holds a place: it falls when he is to listen no longer, though he does not hear of it.
    #[must_use]
    pub fn subscribe_in(
        self: &Arc<Self>,
        place: impl std::fmt::Debug + Send + Sync + 'static,
        id: InstanceId,
    ) -> Subscription {
        let place = Mutex::new(Some(Box::new(place) as Box<dyn Place>));
        let letters = Arc::new(Letterbox { place, ..Letterbox::default() });
        letters.put(News::soon(Why::Opened).bit());
        if let Some(before) = self.boxes().insert(id, Arc::clone(&letters)) {
            before.end();
        }
        Subscription { room: Arc::clone(self), id, letters }
    }

    /// How many listen.
    #[must_use]
    pub fn listening(&self) -> usize {
        self.boxes().len()
    }

    /// News to one instance.
    pub(crate) fn tell(&self, id: InstanceId, news: News) {
        let letters = self.boxes().get(&id).cloned();
        letters.into_iter().for_each(|letters| letters.put(news.bit()));
    }

    /// An instance is to listen no longer: who it is has changed.
    pub(crate) fn end(&self, id: InstanceId) {
        let letters = self.boxes().remove(&id);
        letters.into_iter().for_each(|letters| letters.end());
    }

    /// News to everybody.
    pub(crate) fn tell_all(&self, news: News) {
        let mut after = Bound::Unbounded;
        loop {
            let some: Vec<(InstanceId, Arc<Letterbox>)> = {
                let boxes = self.boxes();
                let behind = boxes.range((after, Bound::Unbounded)).take(TOLD_AT_ONCE);
                behind.map(|(id, letters)| (*id, Arc::clone(letters))).collect()
            };
            let Some((last, _)) = some.last() else { return };
            after = Bound::Excluded(*last);
            some.iter().for_each(|(_, letters)| letters.put(news.bit()));
        }
    }

    /// What is news to everybody in a world that took the place of another.
    pub(crate) fn tell_of_world(&self, before: &World, after: &World) {
        world_news(before, after).into_iter().for_each(|news| self.tell_all(news));
    }

    /// What is news to an instance of a decision about it. `told`: the answer to the instance's own request says so;
    /// `urgent`: a person wanted it so.
    pub(crate) fn tell_of_decision(&self, id: InstanceId, decision: Touch, told: bool, urgent: bool) {
        match decision {
            Touch { another: true, .. } => self.end(id),
            Touch { why: Some(why), .. } if !told => self.tell(id, News { why, urgent }),
            Touch { .. } => {}
        }
    }

    /// What is news to an instance of what another server decided about it; `key`: the one it was known by here until then.
    pub(crate) fn tell_of_elsewhere(&self, instance: &Instance, key: Option<InstanceKey>) {
        if instance.state == State::Revoked || key.is_some_and(|key| key != instance.key) {
            return self.end(instance.id);
        }
        let why = if instance.offer.is_some() { Why::Offer } else { Why::Standing };
        self.tell(instance.id, News::soon(why));
    }

    fn boxes(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Arc<Letterbox>>> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a decision changes for an instance that listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    why: Option<Why>,
    /// Another may speak for the instance from now on, or nobody.
    another: bool,
}

impl Touch {
    pub(crate) const NOTHING: Self = Self { why: None, another: false };

    /// Takes in one event.
    pub(crate) fn see(&mut self, event: &InstanceEvent) {
        match event {
            InstanceEvent::KeyRenewed { .. }
            | InstanceEvent::HandshakeRenewed { .. }
            | InstanceEvent::Moved { to: State::Revoked, .. } => self.another = true,
            InstanceEvent::Offered { .. } | InstanceEvent::OfferEnded { .. } => self.why = Some(Why::Offer),
            _ => self.why = self.why.or(Some(Why::Standing)),
        }
    }
}

/// What of a change of the world is news to everybody. Of rollouts those of security releases alone: all others tell those to
/// whom they offer something.
fn world_news(before: &World, after: &World) -> Vec<News> {
    let known = secured(before);
    let mut news = Vec::new();
    if secured(after).iter().any(|open| !known.contains(open)) {
        news.push(News::urgent(Why::Security));
    }
    if before.red_switch != after.red_switch {
        news.push(News::urgent(Why::RedSwitch));
    }
    if (before.constitution_digest, before.keys_serial) != (after.constitution_digest, after.keys_serial) {
        news.push(News::soon(Why::Law));
    }
    if before.freezes != after.freezes {
        news.push(News::soon(Why::Freeze));
    }
    news
}

/// The rollouts of security releases that make offers, and to how many phases.
fn secured(world: &World) -> Vec<(RolloutId, usize)> {
    let security = world.rollouts.iter().filter(|rollout| rollout.class == Class::Security);
    let open = security.filter(|rollout| {
        let begun = !rollout.phases.is_empty() || rollout.status == RolloutStatus::Done;
        rollout.adds() && !rollout.is_stopped() && begun
    });
    open.map(|rollout| (rollout.id, rollout.phases.len())).collect()
}

/// Over how long those who hear what is not urgent are to spread, where they check in so often by themselves.
#[must_use]
pub fn spread(check_in_every: Span) -> Span {
    Span::from_millis(check_in_every.as_millis() / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> InstanceId {
        InstanceId::from_random([n; 16])
    }

    async fn heard(subscription: &Subscription) -> Option<(Why, bool)> {
        subscription.next().await.map(|news| (news.why, news.urgent))
    }

    #[tokio::test]
    async fn the_most_urgent_is_heard_and_nothing_piles_up() {
        let room = Arc::new(Newsroom::default());
        let one = room.subscribe(id(1));
        assert_eq!(heard(&one).await, Some((Why::Opened, false)));
        for _ in 0..1_000 {
            room.tell(id(1), News::soon(Why::Offer));
            room.tell(id(1), News::urgent(Why::Standing));
            room.tell_all(News::urgent(Why::Security));
        }
        assert_eq!(heard(&one).await, Some((Why::Security, true)));
        room.tell(id(1), News::soon(Why::Challenge));
        room.tell(id(1), News::urgent(Why::Freeze));
        assert_eq!(
            heard(&one).await,
            Some((Why::Freeze, true)),
            "urgent before soon, and nothing from before"
        );
        for why in Why::ALL {
            for urgent in [true, false] {
                let news = News { why: *why, urgent };
                assert_eq!(News::first(news.bit()), Some(news));
            }
        }
    }

    #[tokio::test]
    async fn a_new_listener_ends_the_older_and_its_end_is_not_the_new_ones() {
        let room = Arc::new(Newsroom::default());
        let (older, other) = (room.subscribe(id(1)), room.subscribe(id(2)));
        let newer = room.subscribe(id(1));
        assert_eq!(heard(&older).await, None);
        drop(older);
        assert_eq!(room.listening(), 2);
        heard(&newer).await;
        room.tell(id(1), News::soon(Why::Offer));
        assert_eq!(heard(&newer).await, Some((Why::Offer, false)));
        room.end(id(1));
        assert_eq!(heard(&newer).await, None);
        assert_eq!(heard(&other).await, Some((Why::Opened, false)));
        drop((newer, other));
        assert_eq!(room.listening(), 0, "who does not listen is forgotten");
    }

    #[tokio::test]
    async fn everybody_is_told_however_many_there_are() {
        let room = Arc::new(Newsroom::default());
        let many = 3 * TOLD_AT_ONCE + 7;
        let all: Vec<Subscription> = (0..many)
            .map(|n| {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
                room.subscribe(InstanceId::from_random(bytes))
            })
            .collect();
        room.tell_all(News::urgent(Why::RedSwitch));
        for one in &all {
            assert_eq!(heard(one).await, Some((Why::RedSwitch, true)));
        }
    }

    #[test]
    fn a_world_that_says_the_same_is_no_news() {
        let before = World::default();
        let check = |change: fn(&mut World), expected: &[News]| {
            let mut after = before.clone();
            change(&mut after);
            assert_eq!(world_news(&before, &after), expected);
        };
        check(|_| {}, &[]);
        check(|world| world.order_serial += 1, &[]);
        check(|world| world.red_switch = true, &[News::urgent(Why::RedSwitch)]);
        check(|world| world.keys_serial += 1, &[News::soon(Why::Law)]);
        let freeze = |world: &mut World| {
            let (from, until) =
                (governance::Timestamp::from_millis(1), governance::Timestamp::from_millis(2));
            world.freezes.push(governance::world::Freeze { from, until });
        };
        check(freeze, &[News::soon(Why::Freeze)]);
    }
}
