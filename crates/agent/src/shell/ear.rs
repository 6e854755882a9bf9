//! Listens for news: holds a stream open on which the plane says that a check-in may bring something.
//!
//! Believes nothing of it but that: what is to be done comes in the answer to the check-in, signed. Where there is no stream,
//! the agent hears at its next check-in what it would have heard at once.

use std::pin::pin;
use std::sync::Arc;

use client::{Client, ClientError, Source as _, SystemSource};
use governance::{InstanceId, Span};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wire::Look;

use super::effects::{duration, told};
use super::endpoint::Face;
use super::patience::chance;
use crate::core::pace;

/// A stream that lasted so long was no failure to begin with.
const LASTED: Span = Span::from_millis(60_000);

/// As whom it listens.
type Speaker = (Client, InstanceId);

/// Listens in a task of its own, as long as it is there.
#[derive(Debug)]
pub(super) struct Ear {
    speaker: watch::Sender<Speaker>,
    looks: watch::Receiver<Option<Look>>,
    task: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ear {
    /// Begins to listen.
    pub(super) fn open(client: Client, instance: InstanceId, face: &Arc<Face>) -> Self {
        let (speaker, as_whom) = watch::channel((client, instance));
        let (heard, looks) = watch::channel(None);
        let task = tokio::spawn(listen(as_whom, heard, Arc::clone(face)));
        Self { speaker, looks, task }
    }

    /// How the owner sees it.
    pub(super) const fn state(open: bool, wanted: bool) -> &'static str {
        match (wanted, open) {
            (false, _) => "off",
            (true, true) => "open",
            (true, false) => "closed",
        }
    }

    /// Listens with another certificate from now on.
    pub(super) fn speak_as(&self, client: Client, instance: InstanceId) {
        self.speaker.send_replace((client, instance));
    }

    /// Forgets what was heard so far.
    pub(super) fn forget(&mut self) {
        self.looks.mark_unchanged();
    }

    /// Waits for as long as this, or until it was told to look and has waited as long as it was to; gives why then.
    pub(super) async fn rest(&mut self, pause: Span) -> Option<String> {
        let looked = async {
            let mut look = self.heard().await;
            let waits = |look: &Look| {
                sleep(duration(pace::look(Span::from_millis(bounded(look.within_ms)), chance())))
            };
            let mut wait = pin!(waits(&look));
            loop {
                tokio::select! {
                    () = wait.as_mut() => return look.why,
                    // Something more urgent may have come meanwhile; nothing else prolongs the wait.
                    more = self.heard() => if more.within_ms < look.within_ms {
                        wait.set(waits(&more));
                        look = more;
                    },
                }
            }
        };
        let why = timeout(duration(pause), looked).await.ok()?;
        tracing::debug!(why, "looks");
        Some(why)
    }

    /// What is heard next.
    async fn heard(&mut self) -> Look {
        loop {
            if self.looks.changed().await.is_err() {
                // Nobody listens any more: so be it.
                return std::future::pending().await;
            }
            if let Some(look) = self.looks.borrow_and_update().clone() {
                return look;
            }
        }
    }
}

fn bounded(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

/// Opens the stream again and again, ever more patiently.
async fn listen(mut speaker: watch::Receiver<Speaker>, heard: watch::Sender<Option<Look>>, face: Arc<Face>) {
    let mut ends = 0_u32;
    loop {
        let (client, instance) = speaker.borrow_and_update().clone();
        let begun = SystemSource.now();
        let end = tokio::select! {
            end = hold(&client, instance, &heard, &face) => end,
            changed = speaker.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        ends = if SystemSource.now().since(begun) >= LASTED { 1 } else { ends.saturating_add(1) };
        let open = Ear::state(false, true);
        face.update(|facts| facts.events = open);
        let again = pace::listen_again(ends, chance());
        let pause = match &end {
            Ok(()) => again,
            Err(ClientError::Refused { retry_after_seconds: Some(seconds), .. }) => {
                again.max(pace::asked(Span::from_millis(bounded(*seconds).saturating_mul(1_000)), chance()))
            }
            // A plane that knows nothing of it: perhaps it will.
            Err(error) if error.is_final() => pace::LISTEN_MAX,
            Err(_) => again,
        };
        match &end {
            Ok(()) => tracing::info!("the plane ended the stream of news; listens again in {pause}"),
            Err(error) => tracing::info!(why = told(error), "hears no news; tries again in {pause}"),
        }
        tokio::select! {
            () = sleep(duration(pause)) => {}
            changed = speaker.changed() => if changed.is_err() { return },
        }
    }
}

/// Holds one stream open to its end.
async fn hold(
    client: &Client,
    instance: InstanceId,
    heard: &watch::Sender<Option<Look>>,
    face: &Arc<Face>,
) -> Result<(), ClientError> {
    let mut events = client.events(instance).await?;
    let open = Ear::state(true, true);
    face.update(|facts| facts.events = open);
    tracing::info!("listens for news");
    while let Some(look) = events.next().await? {
        tracing::info!(why = look.why, within_ms = look.within_ms, "news");
        heard.send_replace(Some(look));
    }
    Ok(())
}
