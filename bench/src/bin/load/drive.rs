//! The load itself: one thread, many connections, each operation counted from when it was due.
//!
//! With a rate, the instants are laid down beforehand (`schedule`) and nothing that the server does moves them: an operation whose
//! connection is still busy waits, and its waiting counts. Without one, a number of operations is kept under way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::exchange::{self, Answer};
use crate::figures::Tally;

use crate::link::{Brought, Link, Phase};
use crate::schedule::{Arrivals, Random};

/// Events taken from the system at once.
const EVENTS_MAX: usize = 1_024;
/// Pause before a connection that failed is tried again, on the average.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How long what is under way may take once nothing new begins.
const DRAIN: Duration = Duration::from_secs(60);

/// What clients do.
pub(crate) trait Work {
    /// With what the client of this link shows itself on its next connection.
    fn identity(&self, link: usize) -> Option<Arc<ClientConfig>>;

    /// The next step of the operation of this link: writes a request, or nothing.
    ///
    /// # Errors
    /// When it cannot be signed.
    fn ask(&mut self, link: usize, channel: &[u8; 32], out: &mut Vec<u8>) -> anyhow::Result<Step>;

    /// What the answer to it means.
    fn heard(&mut self, link: usize, answer: &Answer<'_>) -> Heard;
}

/// A step of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A request was written, and its answer awaited.
    Request,
    /// Nothing but the handshake: goodbye, and the server closes.
    Goodbye,
}

/// What an answer means for its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is over, and counts under this name.
    Done(&'static str),
    /// The server has no place now; the operation is tried again after so long.
    Later(Duration),
    /// It failed, for this reason.
    Failed(String),
}

/// How much is asked.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// Each at its instant, whatever became of those before.
    Open(Arrivals),
    /// So many under way at any time, for so long.
    Closed { at_once: usize, lasting: Duration },
    /// So many in all, so many under way at any time. As many as there are links: each link once.
    Count { at_once: usize, left: usize },
}

impl Pace {
    /// So many operations in all.
    pub(crate) const fn each(count: usize, at_once: usize) -> Self {
        Self::Count { at_once, left: count }
    }
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How much.
    pub(crate) pace: Pace,
    /// Whether each operation has a connection of its own.
    pub(crate) afresh: bool,
}

struct Client {
    link: Link,
    /// When the operation under way was due, in nanoseconds.
    operation: Option<u64>,
    /// Instants of those that wait for the one under way.
    waiting: VecDeque<u64>,
}

/// All clients.
pub(crate) struct Drive<W> {
    /// What they do.
    pub(crate) work: W,
    clients: Vec<Client>,
    to: SocketAddr,
    name: ServerName<'static>,
    poll: Poll,
    timer: std::os::fd::OwnedFd,
    /// When the timer goes off, in nanoseconds.
    timer_at: u64,
    began: Instant,
    /// Links whose operation is tried again, by when.
    later: BinaryHeap<Reverse<(u64, usize)>>,
    /// The link whose turn is next.
    cursor: usize,
    under_way: usize,
    random: Random,
    tally: Tally,
    out: Vec<u8>,
}

impl<W: Work> Drive<W> {
    /// So many clients of the server at this address; none is connected yet.
    pub(crate) fn new(work: W, count: usize, to: SocketAddr) -> anyhow::Result<Self> {
        let poll = Poll::new().context("the system has no event queue to give")?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("a timer")?;
        poll.registry().register(
            &mut SourceFd(&timer.as_raw_fd()),
            Token(usize::MAX - 1),
            Interest::READABLE,
        )?;
        let client = || Client { link: Link::new(), operation: None, waiting: VecDeque::new() };
        Ok(Self {
            work,
            clients: (0..count).map(|_| client()).collect(),
            to,
            name: ServerName::try_from(to.ip().to_string()).context("the server's name")?,
            poll,
            timer,
            timer_at: 0,
            began: Instant::now(),
            later: BinaryHeap::new(),
            cursor: 0,
            under_way: 0,
            random: Random(0x10ad),
            tally: Tally::default(),
            out: Vec::with_capacity(4_096),
        })
    }

    /// Does what is planned, and gives what came of it.
    ///
    /// # Errors
    /// When the system or a signature fails; what the server does wrong is counted instead.
    pub(crate) fn run(&mut self, plan: Plan) -> anyhow::Result<Tally> {
        let Plan { mut pace, afresh } = plan;
        self.tally = Tally::default();
        self.began = Instant::now();
        self.later.clear();
        self.timer_at = u64::MAX;
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut drained_at = None;
        loop {
            let now = self.now();
            let mut next = self.begin_due(&mut pace, now)?;
            while let Some(Reverse((at, link))) = self.later.peek().copied() {
                if at > now {
                    next = Some(next.map_or(at, |next| next.min(at)));
                    break;
                }
                self.later.pop();
                self.advance(link)?;
            }
            if self.under_way == 0 && self.is_over(&pace) {
                break;
            }
            if self.is_over(&pace) {
                let until = *drained_at.get_or_insert(now + nanos(DRAIN));
                if now >= until {
                    break;
                }
                next = Some(next.map_or(until, |next| next.min(until)));
            }
            self.wake_at(next.unwrap_or(now + nanos(DRAIN)))?;
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                polled => polled.context("waiting for events")?,
            }
            for event in &events {
                if event.token().0 < self.clients.len() {
                    self.stir(event.token().0, afresh)?;
                } else {
                    let mut expirations = [0; 8];
                    // That it went off is told by the event; the number is no matter.
                    let _ = rustix::io::read(&self.timer, &mut expirations);
                }
            }
        }
        self.tally.lasted = self.began.elapsed();
        self.abandon();
        Ok(std::mem::take(&mut self.tally))
    }

    /// Connections that stand.
    pub(crate) fn connected(&self) -> usize {
        self.clients.iter().filter(|client| client.link.phase == Phase::Ready).count()
    }

    /// Lets go of all connections, and calls another server from now on.
    pub(crate) fn turn_to(&mut self, to: SocketAddr) {
        self.disconnect();
        self.to = to;
    }

    /// Lets go of all connections.
    pub(crate) fn disconnect(&mut self) {
        self.clients.iter_mut().for_each(|client| client.link.close());
    }

    fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    /// Begins what is due by now; gives when something is due next.
    fn begin_due(&mut self, pace: &mut Pace, now: u64) -> anyhow::Result<Option<u64>> {
        match pace {
            Pace::Open(arrivals) => {
                while let Some(due) = arrivals.peek().filter(|due| *due <= now) {
                    arrivals.step();
                    let link = self.cursor;
                    self.cursor = (self.cursor + 1) % self.clients.len().max(1);
                    self.under_way += 1;
                    self.enter(link, due)?;
                }
                Ok(arrivals.peek())
            }
            Pace::Closed { at_once, lasting } => {
                while self.under_way < *at_once && now < nanos(*lasting) {
                    let Some(link) = self.idle() else { break };
                    self.under_way += 1;
                    let due = self.now();
                    self.enter(link, due)?;
                }
                Ok(Some(nanos(*lasting)).filter(|end| now < *end))
            }
            Pace::Count { at_once, left } => {
                while self.under_way < *at_once && *left > 0 {
                    let Some(link) = self.idle() else { break };
                    *left -= 1;
                    self.under_way += 1;
                    let due = self.now();
                    self.enter(link, due)?;
                }
                Ok(None)
            }
        }
    }

    fn is_over(&self, pace: &Pace) -> bool {
        match pace {
            Pace::Open(arrivals) => arrivals.peek().is_none(),
            Pace::Closed { lasting, .. } => self.now() >= nanos(*lasting),
            Pace::Count { left, .. } => *left == 0,
        }
    }

    /// The next link, in turn, on which nothing is under way.
    fn idle(&mut self) -> Option<usize> {
        let count = self.clients.len();
        for _ in 0..count {
            let link = self.cursor;
            self.cursor = (self.cursor + 1) % count;
            if self.clients.get(link).is_some_and(|client| client.operation.is_none()) {
                return Some(link);
            }
        }
        None
    }

    /// An operation that was due then: begun, or put behind the one under way.
    fn enter(&mut self, link: usize, due: u64) -> anyhow::Result<()> {
        let now = self.now();
        let Some(client) = self.clients.get_mut(link) else { return Ok(()) };
        if client.operation.is_some() {
            client.waiting.push_back(due);
            return Ok(());
        }
        client.operation = Some(due);
        self.tally.late(now.saturating_sub(due));
        self.advance(link)
    }

    /// Goes on with the operation of a link: connects, or asks.
    fn advance(&mut self, link: usize) -> anyhow::Result<()> {
        let Some(client) = self.clients.get_mut(link) else { return Ok(()) };
        if client.operation.is_none() {
            return Ok(());
        }
        match client.link.phase {
            Phase::Closed => {
                let Some(config) = self.work.identity(link) else {
                    return self.finish(link, Err("nobody to connect as".to_owned()), false);
                };
                let at = (self.poll.registry(), Token(link));
                if client.link.connect(self.to, &self.name, config, at).is_err() {
                    self.try_again(link, RETRY_AFTER);
                }
                Ok(())
            }
            Phase::Ready => self.ask(link),
            Phase::Greeting | Phase::Asking | Phase::Leaving => Ok(()),
        }
    }

    fn ask(&mut self, link: usize) -> anyhow::Result<()> {
        let Some(client) = self.clients.get_mut(link) else { return Ok(()) };
        let Some(channel) = client.link.channel().copied() else { return Ok(()) };
        self.out.clear();
        let step = self.work.ask(link, &channel, &mut self.out)?;
        let sent = match step {
            Step::Request => client.link.send(&self.out),
            Step::Goodbye => client.link.leave(),
        };
        if sent.is_err() {
            client.link.close();
            self.tally.reconnected += 1;
            self.try_again(link, Duration::ZERO);
        }
        Ok(())
    }

    /// An event on a link's socket.
    fn stir(&mut self, link: usize, afresh: bool) -> anyhow::Result<()> {
        loop {
            let Some(client) = self.clients.get_mut(link) else { return Ok(()) };
            return match client.link.stir() {
                Brought::Nothing => Ok(()),
                Brought::Greeted => {
                    self.tally.handshakes += 1;
                    self.advance(link)
                }
                Brought::Bytes if self.read(link, afresh)? => Ok(()),
                // The rest may be there already, and has no event of its own then.
                Brought::Bytes => continue,
                Brought::End => self.ended(link),
            };
        }
    }

    /// Reads an answer; `false` while a part of it is missing.
    fn read(&mut self, link: usize, afresh: bool) -> anyhow::Result<bool> {
        let Some(client) = self.clients.get_mut(link) else { return Ok(true) };
        if client.link.phase != Phase::Asking {
            return Ok(true);
        }
        let (heard, length, closes) = match exchange::read(&client.link.inbox) {
            Ok(None) => return Ok(false),
            Ok(Some(answer)) => (self.work.heard(link, &answer), answer.length, answer.closes),
            Err(error) => {
                client.link.close();
                return self.finish(link, Err(error.to_string()), afresh).map(|()| true);
            }
        };
        client.link.inbox.drain(..length.min(client.link.inbox.len()));
        client.link.phase = Phase::Ready;
        if closes {
            client.link.close();
        }
        match heard {
            Heard::Done(name) => self.finish(link, Ok(name), afresh)?,
            Heard::Failed(why) => self.finish(link, Err(why), afresh)?,
            Heard::Later(pause) => {
                self.tally.put_off += 1;
                self.try_again(link, pause);
            }
        }
        Ok(true)
    }

    /// The server closed, or the connection broke.
    fn ended(&mut self, link: usize) -> anyhow::Result<()> {
        let Some(client) = self.clients.get_mut(link) else { return Ok(()) };
        let phase = client.link.phase;
        client.link.close();
        if phase == Phase::Leaving {
            return self.finish(link, Ok("handshake"), true);
        }
        if client.operation.is_some() {
            self.tally.reconnected += 1;
            // The server may close a connection at rest at the moment of a request: any client tries again.
            let was_open = matches!(phase, Phase::Asking | Phase::Ready);
            self.try_again(link, if was_open { Duration::ZERO } else { RETRY_AFTER });
        }
        Ok(())
    }

    /// Goes on with a link's operation after a pause, jittered; what is not over once nothing new begins is given up.
    fn try_again(&mut self, link: usize, pause: Duration) {
        let jitter = self.random.unit() + 0.5;
        let at = self.now() + nanos(pause.mul_f64(jitter));
        self.later.push(Reverse((at, link)));
    }

    /// The end of an operation; the next that waits for its link begins.
    fn finish(
        &mut self,
        link: usize,
        result: Result<&'static str, String>,
        afresh: bool,
    ) -> anyhow::Result<()> {
        let now = self.now();
        let Some(client) = self.clients.get_mut(link) else { return Ok(()) };
        let Some(due) = client.operation.take() else { return Ok(()) };
        self.under_way = self.under_way.saturating_sub(1);
        match result {
            Ok(name) => self.tally.done(name, now.saturating_sub(due)),
            Err(why) => self.tally.failed(why),
        }
        if afresh {
            client.link.close();
        }
        if let Some(due) = client.waiting.pop_front() {
            client.operation = Some(due);
            return self.advance(link);
        }
        Ok(())
    }

    /// What did not end counts as failed.
    fn abandon(&mut self) {
        for client in &mut self.clients {
            let left = usize::from(client.operation.take().is_some()) + client.waiting.len();
            client.waiting.clear();
            if left > 0 {
                client.link.close();
            }
            (0..left).for_each(|_| self.tally.failed("not answered in time".to_owned()));
        }
        self.under_way = 0;
    }

    /// Has the timer go off at this instant.
    fn wake_at(&mut self, at: u64) -> anyhow::Result<()> {
        if self.timer_at == at {
            return Ok(());
        }
        self.timer_at = at;
        let pause = Duration::from_nanos(at.saturating_sub(self.now()).max(1));
        let value = Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(pause.subsec_nanos()),
        };
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let new = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &new).context("the timer")?;
        Ok(())
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
