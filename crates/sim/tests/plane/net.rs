//! The network between callers and servers: it loses, delays, doubles and replays; and the gate that a server holds before
//! its plane.
//!
//! The gate is that of `server`, without its memory of nonces: what is spent twice must be refused by what was committed.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use governance::{InstanceId, State, Timestamp};
use plane::instances::SignedCall;
use plane::{PlaneError, Rejection};

use crate::fate::{Owner, Slot};
use crate::plan::OVERTAKEN_REQUESTS;
use crate::servers::{Servers, SimPlane};

pub(crate) type Answering<T> = Pin<Box<dyn Future<Output = Result<T, PlaneError>> + Send>>;

/// How long a caller waits for an answer.
const PATIENCE: i64 = 20_000;

/// A call that a server answers, as often as it arrives.
pub(crate) type Call<T> = Arc<dyn Fn(Arc<SimPlane>) -> Answering<T> + Send + Sync>;

/// Whoever waits for an answer, and whether he gave it up.
type Line<T> = (Slot<Result<T, PlaneError>>, Arc<AtomicBool>);

/// Whether a call may arrive once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Never.
    No,
    /// At any time.
    Freely,
    /// Once the nonce it bears is on record.
    OnceSpent(String),
}

impl Servers {
    /// Sends a call to a server and waits for the answer; none: it was lost, or nobody was there.
    pub(crate) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        server: usize,
        again: Again,
        call: Call<T>,
    ) -> Option<Result<T, PlaneError>> {
        let (slot, hung_up) = (Slot::new(), Arc::new(AtomicBool::new(false)));
        if !self.fate.happens(|weather| weather.lost) {
            let delay = self.fate.dice(|dice| dice.between(0, 40));
            self.deliver(server, delay, Arc::clone(&call), Some((slot.clone(), Arc::clone(&hung_up))), None);
        }
        if again != Again::No && self.fate.happens(|weather| weather.twice) {
            let count = self.count() as u64;
            let (other, delay) = self.fate.dice(|dice| {
                let delay = match dice.below(4) {
                    0 => dice.between(0, 50),
                    1 => dice.between(50, 10_000),
                    _ => dice.between(10_000, 320_000),
                };
                (usize::try_from(dice.below(count)).unwrap(), delay)
            });
            let spent = match again {
                Again::OnceSpent(nonce) if !OVERTAKEN_REQUESTS => Some(nonce),
                _ => None,
            };
            self.deliver(other, delay, call, None, spent);
        }
        let answer = slot.take_within(self.fate.sleep(PATIENCE)).await;
        // The connection is closed: a server that still works on the call lets it be, unless it does not get to see it.
        hung_up.store(!OVERTAKEN_REQUESTS, Ordering::Relaxed);
        answer
    }

    /// The call arrives, and is answered if somebody waits for it.
    fn deliver<T: Send + 'static>(
        self: &Arc<Self>,
        server: usize,
        delay: i64,
        call: Call<T>,
        waits: Option<Line<T>>,
        spent: Option<String>,
    ) {
        let servers = Arc::clone(self);
        self.fate.spawn(Owner::Outside, async move {
            servers.fate.sleep(delay).await;
            let Some(plane) = servers.plane(server) else { return };
            if spent.is_some_and(|nonce| !servers.tables.book.is_spent(&nonce)) {
                return;
            }
            let there = Arc::clone(&servers);
            servers.fate.spawn(Owner::Server(server), async move {
                let mut answering = call(plane);
                let Some((slot, hung_up)) = waits else {
                    let again = answering.await.map(|_| ()).map_err(|error| code(&error));
                    there.fate.note(|| format!("server {server}: a call that came once more: {again:?}"));
                    return;
                };
                let answer = poll_fn(|context| match hung_up.load(Ordering::Relaxed) {
                    true => Poll::Ready(None),
                    false => answering.as_mut().poll(context).map(Some),
                });
                let Some(answer) = answer.await else { return };
                drop(answering);
                let back = there.fate.dice(|dice| dice.between(0, 40));
                if there.fate.happens(|weather| weather.lost) {
                    return;
                }
                let fate = Arc::clone(&there.fate);
                there.fate.spawn(Owner::Outside, async move {
                    fate.sleep(back).await;
                    slot.put(answer);
                });
            });
        });
    }
}

/// Why a request does not get past the gate.
fn turned_away(code: &'static str) -> PlaneError {
    Rejection::new(code, "HS-6", "the gate does not let it in", "sign afresh").into()
}

/// What a server looks at before its plane is asked: the clock of the request, the key on record, the state, the certificate.
pub(crate) async fn gate(
    plane: &SimPlane,
    call: &SignedCall,
    created: Timestamp,
    not_after: Timestamp,
) -> Result<(), PlaneError> {
    let (now, skew) = (plane.now(), plane.constitution(|law| law.request_clock_skew));
    let late = Timestamp::from_millis(now.as_seconds() * 1_000).since(created);
    if created.since(now) > skew || late > skew {
        return Err(turned_away("clock-skew"));
    }
    let (id, renews) = (call.id, call.request.base.contains("/renew\n"));
    let key = governance::InstanceKey::from_bytes(*call.key.as_bytes());
    let instance = plane.identity(id, key).await?.ok_or_else(|| turned_away("instance-unknown"))?;
    let is = |known: governance::InstanceKey| known == key;
    let repeats = renews && instance.previous_key.is_some_and(is);
    if !is(instance.key) && !repeats {
        return Err(turned_away("certificate-superseded"));
    }
    if instance.state == State::Revoked {
        return Err(turned_away("instance-revoked"));
    }
    let grace = plane.constitution(|law| law.identity_renewal_grace);
    let lasts = if renews { not_after + grace } else { not_after };
    if now > lasts {
        return Err(turned_away("certificate-expired"));
    }
    Ok(())
}

/// The code of a refusal.
pub(crate) fn code(error: &PlaneError) -> String {
    match error {
        PlaneError::Refused(refusal) => {
            refusal.reasons.first().map_or_else(String::new, |reason| reason.about().0.to_owned())
        }
        PlaneError::Rejected(rejection) => rejection.code.to_owned(),
        PlaneError::NotFound(_) => "not-found".to_owned(),
        PlaneError::Sign(_) | PlaneError::Unavailable(_) => "unavailable".to_owned(),
    }
}

/// Whether the same may be asked again with hope: a request that arrives twice may be answered by what its double met.
pub(crate) fn may_pass(error: &PlaneError) -> bool {
    matches!(error, PlaneError::Unavailable(_) | PlaneError::Sign(_))
        || ["clock-skew", "nonce-replayed"].contains(&code(error).as_str())
}

/// Of whom a call is, for the trace.
pub(crate) fn named(id: Option<InstanceId>) -> String {
    id.map_or_else(|| "nobody yet".to_owned(), |id| id.to_string().chars().take(8).collect())
}
