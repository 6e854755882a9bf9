//! Many instances listen for news, and a security release is published: how long it takes until each has heard of it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use mio::{Events, Poll, Token};
use rustls::pki_types::ServerName;
use serde::Serialize;

use crate::clients::{Instance, PLATFORM};
use crate::figures::time;
use crate::link::{Brought, Link};
use crate::options::Common;
use crate::runs::{CONNECT_AT_ONCE, Stage, UPGRADE, show};

/// Events taken from the system at once.
const EVENTS_MAX: usize = 1_024;
/// How long one wait for events lasts.
const WAIT: Duration = Duration::from_millis(10);
/// How long all may take to listen, and then to hear.
const WITHIN: Duration = Duration::from_secs(120);
/// What is heard.
const NOTICE: &[u8] = br#""why":"security""#;

/// An instance that listens.
struct Ear {
    link: Link,
    instance: Instance,
    is_listening: bool,
    heard: Option<Duration>,
}

/// All of them.
struct Ears {
    ears: Vec<Ear>,
    poll: Poll,
    /// Those whose stream stands.
    listening: usize,
    /// Those who heard.
    heard: usize,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
struct Found {
    streams: usize,
    /// From when the command that publishes was started; in microseconds, as all of these.
    published_us: f64,
    first_us: f64,
    p50_us: f64,
    p99_us: f64,
    last_us: f64,
    /// From the first who heard to 99 of a hundred.
    p99_behind_first_us: f64,
    /// The server's memory with all streams open, in MiB.
    memory_mib: f64,
}

/// Runs it.
pub(crate) fn run(common: &Common) -> anyhow::Result<()> {
    let count = common.count();
    // Some connections are kept for those who do not listen.
    let made = Stage::make(common, count + count / 4)?;
    // Before anybody runs it.
    made.federation.publish(PLATFORM, "minor")?;
    let (mut stage, instances) = made.with_instances(common)?;
    let mut ears = Ears::open(instances, &stage)?;
    stage.plane.check()?;
    let memory = stage.plane.usage()?.memory;
    let began = Instant::now();
    let federation = &stage.federation;
    let published = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| federation.publish(UPGRADE, "security").map(|()| began.elapsed()));
        while ears.heard < count {
            ensure!(began.elapsed() < WITHIN, "{} of {count} heard within {WITHIN:?}", ears.heard);
            ears.turn(began)?;
        }
        publishing.join().ok().context("the thread that publishes broke off")?
    })?;
    let mut heard: Vec<Duration> = ears.ears.iter().filter_map(|ear| ear.heard).collect();
    heard.sort_unstable();
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let at = |part: usize| heard.get((count - 1) * part / 100).copied().map_or(f64::NAN, us);
    let found = Found {
        streams: count,
        published_us: us(published),
        first_us: at(0),
        p50_us: at(50),
        p99_us: at(99),
        last_us: at(100),
        p99_behind_first_us: at(99) - at(0),
        memory_mib: memory as f64 / 1_048_576.0,
    };
    show(common.json, &found, Found::shown)?;
    stage.plane.stop()
}

impl Ears {
    /// Connects everybody, a few at once, and waits until every stream stands.
    fn open(instances: Vec<Instance>, stage: &Stage) -> anyhow::Result<Self> {
        let poll = Poll::new().context("the system has no event queue to give")?;
        let ear = |instance| Ear { link: Link::new(), instance, is_listening: false, heard: None };
        let ears: Vec<Ear> = instances.into_iter().map(ear).collect();
        let mut all = Self { ears, poll, listening: 0, heard: 0 };
        let to = stage.federation.instances;
        let name = ServerName::try_from(to.ip().to_string()).context("the server's name")?;
        let (began, mut next) = (Instant::now(), 0);
        while all.listening < all.ears.len() {
            ensure!(
                began.elapsed() < WITHIN,
                "{} of {} listen within {WITHIN:?}",
                all.listening,
                all.ears.len()
            );
            while next - all.listening < CONNECT_AT_ONCE
                && let Some(ear) = all.ears.get_mut(next)
            {
                let config = ear.instance.config.clone();
                ear.link.connect(to, &name, config, (all.poll.registry(), Token(next)))?;
                next += 1;
            }
            all.turn(began)?;
        }
        Ok(all)
    }

    /// Takes what came; what is heard was heard so long after `began`.
    fn turn(&mut self, began: Instant) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        match self.poll.poll(&mut events, Some(WAIT)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            polled => polled.context("waiting for events")?,
        }
        for event in &events {
            let Some(ear) = self.ears.get_mut(event.token().0) else { continue };
            loop {
                match ear.link.stir() {
                    Brought::Nothing => break,
                    Brought::End => bail!("a stream ended: {}", String::from_utf8_lossy(&ear.link.inbox)),
                    Brought::Greeted => {
                        let mut request = Vec::new();
                        ear.instance.listen(&mut request)?;
                        ear.link.send(&request)?;
                    }
                    Brought::Bytes => {
                        if !ear.is_listening && ear.link.inbox.starts_with(b"HTTP/1.1 200 ") {
                            ear.is_listening = true;
                            self.listening += 1;
                        }
                        let holds = |part: &[u8]| part == NOTICE;
                        if ear.heard.is_none() && ear.link.inbox.windows(NOTICE.len()).any(holds) {
                            ear.heard = Some(began.elapsed());
                            self.heard += 1;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Found {
    fn shown(&self) -> String {
        format!(
            "a security release told to {} instances that listen (the server's memory {:.0} MiB); from the begin of the command that \
             publishes: first {}, half {}, 99 of 100 {} (goal < 1 s), last {}; the command took {}; 99 of 100 {} behind the first\n",
            self.streams,
            self.memory_mib,
            time(self.first_us),
            time(self.p50_us),
            time(self.p99_us),
            time(self.last_us),
            time(self.published_us),
            time(self.p99_behind_first_us)
        )
    }
}
