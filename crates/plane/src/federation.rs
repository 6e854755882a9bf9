//! The founding: the first entries of every ledger, each proven by the Founder's documents (AU-4, FO-5).

use governance::{ConstitutionDocument, Event, WorldEvent};
use proof::Jws;
use proof::jws::Typ;

use crate::decision::{By, Record};
use crate::ports::{Commit, Document, Store};
use crate::rollouts::CONSTITUTION;
use crate::{Plane, PlaneError, Rejection};

impl<S: Store> Plane<S> {
    /// The constitution in force, as it was signed (FO-5).
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn constitution_document(&self) -> Result<Jws, PlaneError> {
        let first = &self.federation.constitution;
        let Some(digest) = self.seen().world.constitution_digest.filter(|digest| *digest != first.digest())
        else {
            return Ok(first.clone());
        };
        let kept = self.store.document_load(CONSTITUTION, &digest.to_string()).await?;
        let lost =
            || PlaneError::Unavailable(format!("constitution {digest} is in force, and not kept here"));
        Jws::parse(&kept.ok_or_else(lost)?).map_err(|error| PlaneError::Unavailable(error.to_string()))
    }

    /// Writes the founding entries: the federation, its keys, its constitution.
    pub(crate) async fn found(&self) -> Result<(), PlaneError> {
        let now = self.now();
        let federation = &self.federation;
        let document: ConstitutionDocument =
            federation.constitution.open(Typ::Constitution, federation.founder()).map_err(|error| {
                Rejection::new(
                    "constitution-untrusted",
                    "FO-5",
                    error.to_string(),
                    "have the Founder threshold sign it",
                )
            })?;
        if let Err(contradictions) = document.parameters.check() {
            let all: Vec<String> = contradictions.iter().map(ToString::to_string).collect();
            let hint = "mend the parameters and have the Founder threshold sign again";
            return Err(Rejection::new("constitution-contradicts", "FO-5", all.join("; "), hint).into());
        }
        let by_keys = By::Founder(Box::new(federation.keys_document.clone()));
        let by_law = By::Founder(Box::new(federation.constitution.clone()));
        let digest = federation.constitution.digest();
        let mut world = self.seen().world.clone();
        let mut keys = Record::new(now, None, &by_keys, &federation.directives);
        for event in [
            WorldEvent::Founded { trust_domain: federation.keys.trust_domain.clone() },
            WorldEvent::KeysPublished {
                serial: federation.keys.serial,
                digest: federation.keys_document.digest(),
            },
        ] {
            world.apply(&event, now);
            keys.push(Event::World(event), true)?;
        }
        let mut law = Record::new(now, None, &by_law, &federation.directives);
        let ratified = WorldEvent::ConstitutionRatified { digest, document: Box::new(document) };
        world.apply(&ratified, now);
        law.push(Event::World(ratified), true)?;
        let mut entries = keys.into_entries();
        entries.extend(law.into_entries());
        let commit = Commit {
            world: Some(Box::new(world.clone())),
            world_revision: self.seen().revision,
            entries,
            documents: vec![Document {
                kind: CONSTITUTION.to_owned(),
                name: digest.to_string(),
                bytes: federation.constitution.to_json().into_bytes(),
            }],
            ..Commit::default()
        };
        let committed = self.store.commit(commit).await?;
        self.see(world, committed.world_revision);
        Ok(())
    }
}
