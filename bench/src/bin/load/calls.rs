//! What connected instances do: check in, report, upgrade to what is offered to them, or knock and go.

use std::sync::Arc;

use anyhow::Context as _;
use governance::{Digest, Version};
use proof::Jws;
use proof::directive::Directive;
use rustls::ClientConfig;

use crate::clients::{Instance, Signature, judged};
use crate::drive::{Heard, Step, Work};
use crate::exchange::Answer;
use crate::schedule::Random;

/// How a short answer to a check-in begins.
const UNCHANGED: &[u8] = b"{\"unchanged\":";

/// How often instances do what, each as a weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) check_in: u32,
    pub(crate) report: u32,
}

impl Mix {
    /// Quiet check-ins alone.
    pub(crate) const QUIET: Self = Self { check_in: 1, report: 0 };
}

/// The operation of a link, until it is answered: the same statement, however often it is sent.
#[derive(Clone, Debug, Default)]
enum Doing {
    #[default]
    Nothing,
    CheckIn,
    Report(Jws, Digest),
    Begin(Version, u64),
    Finish(Version, Jws, Digest),
}

impl Doing {
    const fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::CheckIn => "check-in",
            Self::Report(..) => "report",
            Self::Begin(..) => "begin",
            Self::Finish(..) => "finish",
        }
    }
}

/// How far an instance is with what was offered to it.
#[derive(Clone, Copy, Debug, Default)]
enum Upgrade {
    #[default]
    None,
    /// On offer, by the directive of this number.
    Offered(Version, u64),
    /// Begun.
    Begun(Version),
}

#[derive(Debug)]
struct Caller {
    instance: Instance,
    doing: Doing,
    upgrade: Upgrade,
}

/// Instances that call.
#[derive(Debug)]
pub(crate) struct Calls {
    callers: Vec<Caller>,
    pub(crate) signature: Signature,
    pub(crate) mix: Mix,
    /// Whether the whole standing is asked for each time, though its mark could be known.
    pub(crate) whole: bool,
    /// Whether offers are followed.
    pub(crate) upgrades: bool,
    random: Random,
    /// The last answer to a check-in: the floor gives the same.
    pub(crate) sample: (u16, Vec<u8>),
}

impl Calls {
    pub(crate) fn new(instances: Vec<Instance>, signature: Signature) -> Self {
        let caller = |instance| Caller { instance, doing: Doing::Nothing, upgrade: Upgrade::None };
        let callers = instances.into_iter().map(caller).collect();
        let (mix, random, sample) = (Mix::QUIET, Random(0xca11), (0, Vec::new()));
        Self { callers, signature, mix, whole: false, upgrades: false, random, sample }
    }

    /// How many instances run this version.
    pub(crate) fn running(&self, version: Version) -> usize {
        self.callers.iter().filter(|caller| caller.instance.platform == version).count()
    }
}

impl Caller {
    /// What comes next: what was offered, or what the mix says.
    fn choose(&self, mix: Mix, random: &mut Random) -> anyhow::Result<Doing> {
        match self.upgrade {
            Upgrade::Offered(release, serial) => return Ok(Doing::Begin(release, serial)),
            Upgrade::Begun(release) => {
                let (statement, digest) = self.instance.statement(release)?;
                return Ok(Doing::Finish(release, statement, digest));
            }
            Upgrade::None => {}
        }
        if random.below(u64::from(mix.check_in) + u64::from(mix.report)) < u64::from(mix.check_in) {
            return Ok(Doing::CheckIn);
        }
        let (statement, digest) = self.instance.statement(self.instance.platform)?;
        Ok(Doing::Report(statement, digest))
    }

    /// What an answer to a check-in says: the mark, and what is on offer. A short one says nothing new.
    fn learn(&mut self, answer: &[u8], (whole, upgrades): (bool, bool)) -> anyhow::Result<()> {
        if whole && !upgrades {
            return Ok(());
        }
        if answer.starts_with(UNCHANGED) || answer.is_empty() {
            return Ok(());
        }
        let wire::CheckedIn::Standing(standing) = serde_json::from_slice(answer)? else { return Ok(()) };
        if !whole {
            self.instance.knows(standing.mark)?;
        }
        let directive: Directive = standing.directive.parse_unverified()?;
        if let Some(offer) = directive.offer.filter(|_| upgrades) {
            self.upgrade = Upgrade::Offered(offer.release, directive.serial);
        }
        Ok(())
    }
}

impl Work for Calls {
    fn identity(&self, link: usize) -> Option<Arc<ClientConfig>> {
        self.callers.get(link).map(|caller| Arc::clone(&caller.instance.config))
    }

    fn ask(&mut self, link: usize, channel: &[u8; 32], out: &mut Vec<u8>) -> anyhow::Result<Step> {
        let caller = self.callers.get_mut(link).context("no such instance")?;
        if matches!(caller.doing, Doing::Nothing) {
            caller.doing = caller.choose(self.mix, &mut self.random)?;
        }
        let Caller { instance, doing, .. } = caller;
        match doing {
            Doing::Report(statement, _) => instance.report(statement.clone(), out)?,
            Doing::Begin(release, serial) => instance.begin(*release, *serial, out)?,
            Doing::Finish(release, statement, _) => instance.finish(*release, statement.clone(), out)?,
            Doing::Nothing | Doing::CheckIn => instance.check_in(self.signature, channel, out)?,
        }
        Ok(Step::Request)
    }

    fn heard(&mut self, link: usize, answer: &Answer<'_>) -> Heard {
        let Some(caller) = self.callers.get_mut(link) else {
            return Heard::Failed("no such link".to_owned());
        };
        let heard = judged(answer, caller.doing.name());
        if matches!(heard, Heard::Later(_)) {
            return heard;
        }
        let doing = std::mem::take(&mut caller.doing);
        if !matches!(heard, Heard::Done(_)) {
            caller.upgrade = Upgrade::None;
            return heard;
        }
        match doing {
            Doing::Report(_, digest) => caller.instance.stated(caller.instance.platform, digest),
            Doing::Begin(release, _) => caller.upgrade = Upgrade::Begun(release),
            Doing::Finish(release, _, digest) => {
                caller.instance.stated(release, digest);
                caller.upgrade = Upgrade::None;
            }
            Doing::Nothing | Doing::CheckIn => {
                self.sample.0 = answer.status;
                self.sample.1.clear();
                self.sample.1.extend_from_slice(answer.body);
                if let Err(error) = caller.learn(answer.body, (self.whole, self.upgrades)) {
                    return Heard::Failed(error.to_string());
                }
            }
        }
        heard
    }
}

/// Connections that say hello and goodbye, and ask nothing.
#[derive(Debug)]
pub(crate) struct Knocks(Vec<Arc<ClientConfig>>);

impl Knocks {
    /// One for each instance.
    pub(crate) fn of(calls: &Calls) -> Self {
        Self(calls.callers.iter().map(|caller| Arc::clone(&caller.instance.config)).collect())
    }
}

impl Work for Knocks {
    fn identity(&self, link: usize) -> Option<Arc<ClientConfig>> {
        self.0.get(link).cloned()
    }
    fn ask(&mut self, _: usize, _: &[u8; 32], _: &mut Vec<u8>) -> anyhow::Result<Step> {
        Ok(Step::Goodbye)
    }
    fn heard(&mut self, _: usize, _: &Answer<'_>) -> Heard {
        Heard::Failed("an answer to nothing".to_owned())
    }
}
