//! Chance, time and the order of things: everything that is left open in a run is drawn here, from the run's seed.
//!
//! Never reads a clock and starts no thread: futures are stepped one at a time, by the order that the dice give.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use governance::Timestamp;

/// A future on the stage.
pub(crate) type Act = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Polls of one run at most: a run that needs more of them does not come to its end.
const STEPS_MAX: u64 = 2_000_000;
/// Lines of the trace that a breach shows.
const LAST: usize = 60;

/// A sequence of numbers (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators").
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(crate) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below the bound.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        ((self.roll() as u128 * bound as u128) >> 64) as u64
    }

    /// A number of the range, both ends included.
    pub(crate) const fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below((last - first) as u64 + 1).cast_signed()
    }

    /// Whether it happens, so many times of ten thousand.
    pub(crate) const fn happens(&mut self, of_ten_thousand: u64) -> bool {
        self.below(10_000) < of_ten_thousand
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()].clone()
    }
}

/// What goes wrong, so many times of ten thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// A call of the store fails before anything is done.
    pub(crate) refused: u64,
    /// A write is done, and its answer is lost.
    pub(crate) unanswered: u64,
    /// The server dies at this call of the store.
    pub(crate) crash: u64,
    /// A call of the store takes seconds.
    pub(crate) stall: u64,
    /// A request, or its answer, is lost on its way.
    pub(crate) lost: u64,
    /// A request arrives twice, the second time at any server, at once or minutes later.
    pub(crate) twice: u64,
    /// A clock jumps, at a burst.
    pub(crate) clock: u64,
    /// The disk of a server does not take a file.
    pub(crate) disk: u64,
}

/// Whose a future is: with whom it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody's that can die: instances, people, the network.
    Outside,
    /// A server's: it ends when that dies.
    Server(usize),
    /// A write on its way from this server to the store: when the server dies it may arrive all the same.
    OnItsWay(usize),
}

/// What a run can ask of chance, and all that it shares.
pub(crate) struct Fate {
    inner: Mutex<Inner>,
    ready: Arc<Mutex<Vec<u64>>>,
}

struct Inner {
    dice: Dice,
    now: i64,
    weather: Weather,
    drawn: u64,
    timers: BTreeMap<(i64, u64, u64), Waker>,
    spawned: Vec<(Owner, Act)>,
    dying: Vec<usize>,
    breach: Option<String>,
    steps: u64,
    /// What happened, in one number.
    print: u64,
    trace: Option<VecDeque<String>>,
    shown: bool,
}

impl Fate {
    /// `traced`: keeps the last lines of what happens; `shown`: prints all of them as well.
    pub(crate) fn new(seed: u64, start: Timestamp, (traced, shown): (bool, bool)) -> Arc<Self> {
        let inner = Inner {
            dice: Dice::new(seed),
            now: start.as_millis(),
            weather: Weather::default(),
            drawn: 0,
            timers: BTreeMap::new(),
            spawned: Vec::new(),
            dying: Vec::new(),
            breach: None,
            steps: 0,
            print: 0,
            trace: traced.then(VecDeque::new),
            shown,
        };
        Arc::new(Self { inner: Mutex::new(inner), ready: Arc::default() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.inner().now)
    }

    pub(crate) fn steps(&self) -> u64 {
        self.inner().steps
    }

    pub(crate) fn print(&self) -> u64 {
        self.inner().print
    }

    pub(crate) fn turn_weather(&self, weather: Weather) {
        self.inner().weather = weather;
    }

    /// Throws the run's dice.
    pub(crate) fn dice<T>(&self, throw: impl FnOnce(&mut Dice) -> T) -> T {
        throw(&mut self.inner().dice)
    }

    pub(crate) fn happens(&self, rate: impl FnOnce(&Weather) -> u64) -> bool {
        let mut inner = self.inner();
        let rate = rate(&inner.weather);
        inner.dice.happens(rate)
    }

    /// Puts a line in the trace, where one is kept.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let mut inner = self.inner();
        if inner.trace.is_none() {
            return;
        }
        let line = format!("{} {}", Timestamp::from_millis(inner.now), line());
        if inner.shown {
            eprintln!("{line}");
        }
        if let Some(trace) = &mut inner.trace {
            if trace.len() == LAST {
                trace.pop_front();
            }
            trace.push_back(line);
        }
    }

    /// Puts what happened into the run's print.
    pub(crate) fn mark(&self, what: u64) {
        let mut inner = self.inner();
        inner.print = (inner.print ^ what).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    }

    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.inner().trace.iter().flatten().cloned().collect()
    }

    /// What must hold does not: the run ends.
    pub(crate) fn breach(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("BREACH {what}"));
        self.inner().breach.get_or_insert(what);
    }

    pub(crate) fn breached(&self) -> Option<String> {
        self.inner().breach.clone()
    }

    /// The server dies once the present step is over.
    pub(crate) fn kill(&self, server: usize) {
        self.inner().dying.push(server);
    }

    pub(crate) fn spawn(&self, owner: Owner, act: impl Future<Output = ()> + Send + 'static) {
        self.inner().spawned.push((owner, Box::pin(act)));
    }

    /// Waits for so many milliseconds of true time.
    pub(crate) fn sleep(self: &Arc<Self>, millis: i64) -> Sleep {
        let until = self.inner().now + millis.max(0);
        Sleep { fate: Arc::clone(self), until, key: None }
    }

    pub(crate) fn sleep_until(self: &Arc<Self>, until: Timestamp) -> Sleep {
        Sleep { fate: Arc::clone(self), until: until.as_millis(), key: None }
    }
}

/// A wait on the run's time.
pub(crate) struct Sleep {
    fate: Arc<Fate>,
    until: i64,
    key: Option<(i64, u64, u64)>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let fate = Arc::clone(&self.fate);
        let mut inner = fate.inner();
        if inner.now >= self.until {
            return Poll::Ready(());
        }
        let until = self.until;
        let key = *self.key.get_or_insert_with(|| {
            inner.drawn += 1;
            // Of two that are due at once either may be first.
            (until, inner.dice.roll(), inner.drawn)
        });
        inner.timers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.fate.inner().timers.remove(&key);
            drop(waker);
        }
    }
}

/// Where one act leaves something for another.
pub(crate) struct Slot<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new((None, None))))
    }

    pub(crate) fn put(&self, value: T) {
        let mut slot = self.0.lock().unwrap();
        slot.0 = Some(value);
        if let Some(waker) = slot.1.take() {
            waker.wake();
        }
    }

    pub(crate) async fn take(&self) -> T {
        poll_fn(|context| {
            let mut slot = self.0.lock().unwrap();
            match slot.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    slot.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// What comes first: the value, or the end of the time.
    pub(crate) async fn take_within(&self, mut sleep: Sleep) -> Option<T> {
        let mut take = Box::pin(self.take());
        poll_fn(|context| match take.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Pin::new(&mut sleep).poll(context).map(|()| None),
        })
        .await
    }
}

struct Ping {
    act: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Ping {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap().push(self.act);
    }
}

/// Steps the acts of a run.
pub(crate) struct Stage {
    fate: Arc<Fate>,
    acts: BTreeMap<u64, (Owner, Act)>,
    next: u64,
}

impl Stage {
    pub(crate) fn new(fate: &Arc<Fate>) -> Self {
        Self { fate: Arc::clone(fate), acts: BTreeMap::new(), next: 0 }
    }

    /// Goes on until `done` says so, everything has ended, or something broke. `died` is told of each server that dies.
    pub(crate) fn run(&mut self, mut done: impl FnMut() -> bool, mut died: impl FnMut(usize)) {
        while self.fate.inner().breach.is_none() && !done() {
            self.take_up();
            let dying = std::mem::take(&mut self.fate.inner().dying);
            for server in dying {
                self.fate.note(|| format!("server {server} dies"));
                self.fate.mark(1 + server as u64);
                let fate = Arc::clone(&self.fate);
                self.acts.retain(|_, (owner, _)| match owner {
                    Owner::Outside => true,
                    Owner::Server(of) => *of != server,
                    Owner::OnItsWay(of) => *of != server || fate.dice(|dice| dice.happens(5_000)),
                });
                died(server);
            }
            if !self.step() {
                return;
            }
        }
    }

    fn take_up(&mut self) {
        let spawned = std::mem::take(&mut self.fate.inner().spawned);
        for (owner, act) in spawned {
            self.next += 1;
            self.acts.insert(self.next, (owner, act));
            self.fate.ready.lock().unwrap().push(self.next);
        }
    }

    /// One act is stepped, or time goes on to when one may be; `false`: nothing is left to happen.
    fn step(&mut self) -> bool {
        let chosen = {
            let mut ready = self.fate.ready.lock().unwrap();
            match ready.len() {
                0 => None,
                many => {
                    let at = self.fate.dice(|dice| dice.below(many as u64));
                    Some(ready.swap_remove(usize::try_from(at).unwrap()))
                }
            }
        };
        let Some(act) = chosen else {
            let mut inner = self.fate.inner();
            let inner = &mut *inner;
            let Some(((at, ..), waker)) = inner.timers.pop_first() else { return !inner.spawned.is_empty() };
            inner.now = inner.now.max(at);
            // It goes into the list of those that are ready, whose lock is another.
            waker.wake();
            return true;
        };
        let steps = {
            let mut inner = self.fate.inner();
            inner.steps += 1;
            inner.steps
        };
        if steps > STEPS_MAX {
            self.fate.breach(format!("the run does not end within {STEPS_MAX} steps"));
        }
        let Some((_, future)) = self.acts.get_mut(&act) else { return true };
        let waker = Waker::from(Arc::new(Ping { act, ready: Arc::clone(&self.fate.ready) }));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.acts.remove(&act);
        }
        true
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Dropped outside of the lock: what ends may spawn or wake.
        self.acts.clear();
        let spawned = std::mem::take(&mut self.fate.inner().spawned);
        drop(spawned);
        let timers = std::mem::take(&mut self.fate.inner().timers);
        drop(timers);
    }
}
