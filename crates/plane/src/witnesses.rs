//! Gathers the cosignatures of witnesses under a checkpoint, before anyone is shown it (LG-2).
//!
//! Never believes an answer: a cosignature counts when it verifies, and a size is what the next proof goes on from.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use governance::decide::WorldCommand;
use ledger::witness::{AddCheckpoint, Answer};
use ledger::{Hash, SignedCheckpoint, WitnessKey};
use tokio::task::JoinSet;

use crate::decision::By;
use crate::ports::{Cosigner, Store, Unanswered, WitnessAnswer};
use crate::{Plane, PlaneError};

/// Witnesses of a log at most: so many cosignatures fit under a checkpoint that every reader takes.
pub const WITNESSES_MAX: usize = 16;
/// From the question to the last answer that is waited for.
const WITHIN: Duration = Duration::from_secs(5);
/// How long the others have once enough of them have cosigned.
const LATE_WITHIN: Duration = Duration::from_millis(500);

/// Somebody who cosigns checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its name and key.
    pub key: WitnessKey,
    /// Where it is asked: `/add-checkpoint` is appended.
    pub url: String,
}

/// What a witness said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Nothing: it was not asked yet.
    Unasked,
    /// It cosigned.
    Cosigned,
    /// Nothing that counts, and why.
    Away(String),
    /// That it will not cosign, and why: never in its own words.
    Refused(String),
}

impl Stand {
    /// One word for each.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unasked => "unasked",
            Self::Cosigned => "cosigned",
            Self::Away(_) => "away",
            Self::Refused(_) => "refused",
        }
    }
}

/// The witnesses of the log, and how many of them must have cosigned what it shows.
pub struct Witnesses {
    cosigner: Arc<dyn Cosigner>,
    quorum: usize,
    seats: Vec<Seat>,
}

struct Seat {
    witness: Arc<Witness>,
    /// The size that it cosigned last, as far as that is known.
    size: u64,
    stand: Stand,
}

/// What came of asking all of them.
pub(crate) enum Gathered {
    /// Enough of them cosigned it.
    Quorum(SignedCheckpoint),
    /// Too few did, and the others may yet.
    TooFew,
    /// So many refuse that it cannot come to enough: which, and why.
    Refused(String),
}

/// An answer, to which of the witnesses it belongs, from which size it was asked to go on, and whether for the second time.
struct Asked {
    index: usize,
    old: u64,
    again: bool,
    answer: Result<WitnessAnswer, Unanswered>,
}

impl Witnesses {
    /// These witnesses, of whom so many must cosign; with a quorum of none they are asked, and nothing waits for them.
    #[must_use]
    pub fn new(cosigner: Arc<dyn Cosigner>, quorum: usize, witnesses: Vec<Witness>) -> Self {
        let seat = |witness| Seat { witness: Arc::new(witness), size: 0, stand: Stand::Unasked };
        Self { cosigner, quorum, seats: witnesses.into_iter().map(seat).collect() }
    }

    /// What each said last, by its name.
    pub fn stands(&self) -> impl Iterator<Item = (&str, &Stand)> {
        self.seats.iter().map(|seat| (seat.witness.key.name().as_str(), &seat.stand))
    }

    /// Whether enough of them have cosigned this one. What they are known to have cosigned is remembered.
    pub(crate) fn have_cosigned(&mut self, signed: &SignedCheckpoint) -> bool {
        let found = signed.witnesses(self.seats.iter().map(|seat| &seat.witness.key)).len();
        for seat in self.seats.iter_mut().filter(|seat| signed.cosigned(&seat.witness.key).is_ok()) {
            seat.size = signed.unverified().head().size;
        }
        found >= self.quorum
    }

    /// Asks all of them at once to cosign. `prove` gives the proof that the checkpoint's log goes on from a smaller size.
    ///
    /// # Errors
    /// When the log cannot be proved from its own tiles.
    pub(crate) async fn gather(
        &mut self,
        mut signed: SignedCheckpoint,
        prove: impl Fn(u64) -> Result<Vec<Hash>, PlaneError>,
    ) -> Result<Gathered, PlaneError> {
        let bare = signed.clone();
        let (mut asked, mut found) = (JoinSet::new(), 0);
        for index in 0..self.seats.len() {
            self.ask(&mut asked, index, false, &bare, &prove)?;
        }
        let mut waiting: BTreeSet<usize> = (0..self.seats.len()).collect();
        let mut end = pin!(tokio::time::sleep(WITHIN));
        let mut hurried = false;
        loop {
            if found >= self.quorum && !hurried {
                hurried = true;
                end.set(tokio::time::sleep(LATE_WITHIN));
            }
            let answer = tokio::select! {
                biased;
                ended = asked.join_next() => match ended {
                    None => break,
                    Some(Ok(answer)) => answer,
                    Some(Err(_)) => continue,
                },
                () = &mut end => break,
            };
            let (index, again) = (answer.index, answer.again);
            let stand = match self.hear(answer, &mut signed, &bare)? {
                Some(stand) => stand,
                None if again => Stand::Away("it names another size each time".to_owned()),
                None => {
                    self.ask(&mut asked, index, true, &bare, &prove)?;
                    continue;
                }
            };
            found += usize::from(stand == Stand::Cosigned);
            waiting.remove(&index);
            self.stand(index, stand);
        }
        for index in waiting {
            self.stand(index, Stand::Away("no answer came in time".to_owned()));
        }
        Ok(self.judged(signed, found))
    }

    fn judged(&self, signed: SignedCheckpoint, found: usize) -> Gathered {
        if found >= self.quorum {
            return Gathered::Quorum(signed);
        }
        let refusals = self.seats.iter().filter_map(|seat| match &seat.stand {
            Stand::Refused(why) => Some(format!("{}: {why}", seat.witness.key.name())),
            _ => None,
        });
        let refusals: Vec<String> = refusals.collect();
        let (all, refused) = (self.seats.len(), refusals.len());
        if all - refused >= self.quorum {
            return Gathered::TooFew;
        }
        let size = signed.unverified().head().size;
        Gathered::Refused(format!(
            "{refused} of {all} witnesses refuse to cosign the checkpoint of {size} entries, and {} must: {}",
            self.quorum,
            refusals.join("; ")
        ))
    }

    fn ask(
        &self,
        asked: &mut JoinSet<Asked>,
        index: usize,
        again: bool,
        signed: &SignedCheckpoint,
        prove: &impl Fn(u64) -> Result<Vec<Hash>, PlaneError>,
    ) -> Result<(), PlaneError> {
        let Some(seat) = self.seats.get(index) else { return Ok(()) };
        // What a witness is known to have cosigned beyond this checkpoint, it is let say itself.
        let old = if seat.size <= signed.unverified().head().size { seat.size } else { 0 };
        let request = AddCheckpoint::new(old, prove(old)?, signed.clone())
            .map_err(|error| PlaneError::Unavailable(error.to_string()))?
            .to_string();
        let (cosigner, witness) = (Arc::clone(&self.cosigner), Arc::clone(&seat.witness));
        asked.spawn(async move {
            let answer = cosigner.ask(&witness.url, request).await;
            Asked { index, old, again, answer }
        });
        Ok(())
    }

    /// What an answer says of its witness; nothing when it must be asked again, from the size that it names.
    fn hear(
        &mut self,
        asked: Asked,
        signed: &mut SignedCheckpoint,
        bare: &SignedCheckpoint,
    ) -> Result<Option<Stand>, PlaneError> {
        let Some(seat) = self.seats.get_mut(asked.index) else { return Ok(Some(Stand::Unasked)) };
        let size = bare.unverified().head().size;
        let WitnessAnswer { status, body } = match asked.answer {
            Ok(answer) => answer,
            Err(Unanswered(why)) => return Ok(Some(Stand::Away(why))),
        };
        Ok(Some(match Answer::read(&seat.witness.key, bare, status, &body) {
            Ok(Answer::Cosigned(line)) => {
                signed.attach(line).map_err(|error| PlaneError::Unavailable(error.to_string()))?;
                seat.size = size;
                Stand::Cosigned
            }
            Ok(Answer::Knows(known)) if known > size => {
                Stand::Refused(format!("it has cosigned {known} entries of this log, which has {size}"))
            }
            Ok(Answer::Knows(known)) if known == asked.old => {
                Stand::Refused(format!("it has cosigned another log of {known} entries"))
            }
            Ok(Answer::Knows(known)) => {
                seat.size = known;
                return Ok(None);
            }
            // What stands before the Founder, and in the ledger, is not written by whoever answered.
            Ok(Answer::Refused(status, words)) => {
                let witness = seat.witness.key.name();
                tracing::warn!(%witness, status, words, "the witness said why it refuses");
                Stand::Refused(refusal(status).to_owned())
            }
            Err(error) => Stand::Away(error.to_string()),
        }))
    }

    /// Keeps what a witness said; a change is told.
    fn stand(&mut self, index: usize, stand: Stand) {
        let Some(seat) = self.seats.get_mut(index) else { return };
        if seat.stand.as_str() != stand.as_str() {
            let witness = seat.witness.key.name();
            match &stand {
                Stand::Unasked => {}
                Stand::Cosigned => tracing::info!(%witness, "the witness cosigns"),
                Stand::Away(why) => tracing::warn!(%witness, why, "the witness gives no cosignature"),
                Stand::Refused(why) => tracing::error!(%witness, why, "the witness refuses to cosign (LG-2)"),
            }
        }
        seat.stand = stand;
    }
}

/// What a status says by the protocol, whatever words come with it.
const fn refusal(status: u16) -> &'static str {
    match status {
        403 => "403, it knows no key that signed it",
        404 => "404, it does not witness this log",
        409 => "409, it has cosigned another log",
        422 => "422, it is not proved to go on from what it cosigned",
        _ => "it refuses",
    }
}

impl<S: Store> Plane<S> {
    /// So many witnesses refuse that nothing can be published: before the Founder, once while it is open (LG-2, FO-2).
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn escalate_refusal(&self, facts: String) -> Result<(), PlaneError> {
        self.decide_world(&[WorldCommand::EscalateRefusal { facts }], &By::Federation, Vec::new()).await
    }
}
