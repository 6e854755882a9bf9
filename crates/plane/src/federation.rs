//! The founding: the first entries of every ledger, each proven by the Founder's documents (AU-4, FO-5).

use std::collections::BTreeSet;

use governance::decide::WorldCommand;
use governance::{ConstitutionDocument, Digest, Event, World, WorldEvent};
use proof::jws::Typ;
use proof::order::SignedRoot;
use proof::tuf::{RoleKeys, Root};
use proof::{Jws, KeyId, KeySet, KeysDocument, PublicKey};

use crate::decision::{By, Record};
use crate::ports::{Commit, Document, Store};
use crate::rollouts::CONSTITUTION;
use crate::{Federation, Keys, Plane, PlaneError, Rejection};

/// The kind under which keys documents are kept; each by its serial.
pub(crate) const KEYS: &str = "keys";
/// The kind under which TUF roots are kept; each by its version.
const ROOT: &str = "tuf-root";

/// The keys document in force: the folder's, and upon it those that orders brought since, each signed as the one before
/// it asks (AU-4).
pub(crate) async fn keys_in_force<S: Store>(
    store: &S,
    federation: &Federation,
    world: &World,
) -> Result<Keys, PlaneError> {
    let mut keys = Keys { document: federation.keys.clone(), signed: federation.keys_document.clone() };
    if world.keys_serial != 0 && keys.document.serial > world.keys_serial {
        let (found, known) = (keys.document.serial, world.keys_serial);
        let why = format!(
            "keys document {found} lies in the folder, and {known} is in force: submit the order first"
        );
        return Err(PlaneError::Unavailable(why));
    }
    while keys.document.serial < world.keys_serial {
        let next = keys.document.serial + 1;
        let kept = store.document_load(KEYS, &next.to_string()).await?;
        let lost =
            || PlaneError::Unavailable(format!("keys document {next} came into force, and is not kept here"));
        let signed = Jws::parse(&kept.ok_or_else(lost)?).map_err(unavailable)?;
        let document = keys.document.open_successor(&signed).map_err(unavailable)?;
        keys = Keys { document, signed };
    }
    Ok(keys)
}

/// Whether the role has these people's keys and threshold.
fn is_of(role: &RoleKeys, root: &Root, people: &KeySet) -> bool {
    let named: BTreeSet<KeyId> =
        role.keyids.iter().filter_map(|id| root.keys.get(id)?.public()).map(|key| key.id()).collect();
    let expected: BTreeSet<KeyId> = people.keys().iter().map(PublicKey::id).collect();
    named == expected && role.threshold == u64::from(people.threshold())
}

fn unavailable(error: impl std::fmt::Display) -> PlaneError {
    PlaneError::Unavailable(error.to_string())
}

impl<S: Store> Plane<S> {
    /// A new keys document by the Founder's order (AU-4, FO-1). It must name the keys that this plane signs with, and
    /// keep the root certificate: else nobody would believe it any more.
    pub(crate) async fn keys_publish(
        &self,
        accept: WorldCommand,
        by: &By,
        order: Document,
        signed: Jws,
        root: Option<SignedRoot>,
    ) -> Result<(), PlaneError> {
        let current = self.keys();
        let document = current.document.open_successor(&signed).map_err(|error| {
            let hint = "let the Founder threshold sign a document with the next serial";
            Rejection::new("keys-untrusted", "AU-4", error.to_string(), hint)
        })?;
        self.check_not_locked_out(&current.document, &document)?;
        let (serial, digest) = (document.serial, signed.digest());
        let kept = Document {
            kind: KEYS.to_owned(),
            name: serial.to_string(),
            bytes: signed.to_json().into_bytes(),
        };
        let mut commands = vec![accept, WorldCommand::PublishKeys { serial, digest }];
        // The one before too: the first of all lies in the folder alone, until another takes its place there.
        let before = Document {
            kind: KEYS.to_owned(),
            name: current.document.serial.to_string(),
            bytes: current.signed.to_json().into_bytes(),
        };
        let mut documents = vec![order, before, kept];
        let version = self.check_root(root.as_ref(), &document)?;
        if let Some(root) = root {
            commands.push(WorldCommand::PublishRoot { version, digest: root.digest() });
            documents.push(Document {
                kind: ROOT.to_owned(),
                name: version.to_string(),
                bytes: root.bytes().to_vec(),
            });
        }
        self.decide_world(&commands, by, documents).await?;
        self.hold(Keys { document, signed });
        // The order is in force, whatever the disk says now: it is asked again until it takes the root.
        if let Err(error) = self.root_take_up().await {
            tracing::error!(%error, "the TUF root in force is not published yet");
        }
        Ok(())
    }

    /// Whether a TUF root may be in force beside a keys document, the one that comes with it or else the present one: signed
    /// as clients ask for, naming the same people, and neither the plane's own metadata nor the Organism's is believed less
    /// by it (RL-3). Gives its version.
    fn check_root(&self, root: Option<&SignedRoot>, keys: &KeysDocument) -> Result<u64, PlaneError> {
        let hint = match root {
            Some(_) => "draft both with `keys sign`; take out an old key once what it signed was signed anew",
            None => "put the root that goes with these keys into the order: `order sign --tuf-root`",
        };
        let reject = |why: String| Rejection::new("root-refused", "RL-3", why, hint);
        let next = match root {
            Some(root) => root.open().map_err(|error| reject(error.to_string()))?,
            None => self.repository.root().map_err(unavailable)?,
        };
        for (role, named, people) in
            [("root", &next.roles.root, &keys.founder), ("targets", &next.roles.targets, &keys.organism)]
        {
            if !is_of(named, &next, people) {
                let why =
                    format!("its {role} role has other keys or another threshold than the keys document");
                return Err(reject(why).into());
            }
        }
        if let Some(root) = root {
            let checked = self.repository.root_check(root.bytes(), self.now());
            checked.map_err(|error| reject(error.to_string()))?;
        }
        Ok(next.version)
    }

    /// Publishes the TUF root in force where the repository has not got it yet: its order is on record, the file came after.
    ///
    /// # Errors
    /// When the root is not kept, or the disk does not take it.
    pub async fn root_take_up(&self) -> Result<(), PlaneError> {
        let version = self.seen().world.root_version;
        let published = || self.repository.root().map(|root| root.version).map_err(unavailable);
        let mut next = published()? + 1;
        while next <= version {
            let kept = self.store.document_load(ROOT, &next.to_string()).await?;
            let lost =
                || PlaneError::Unavailable(format!("TUF root {next} came into force, and is not kept here"));
            self.repository.root_publish(&kept.ok_or_else(lost)?).map_err(unavailable)?;
            next += 1;
        }
        self.repository_resign()
    }

    fn check_not_locked_out(&self, current: &KeysDocument, next: &KeysDocument) -> Result<(), PlaneError> {
        let now = self.now();
        let lost = self.signs().into_iter().find(|(purpose, key)| next.find(*purpose, *key, now).is_none());
        let why = match lost {
            Some((purpose, key)) => format!("it does not name {key}, with which this plane signs {purpose}"),
            None if next.root_ca != current.root_ca => "it names another root certificate".to_owned(),
            None if next.ledger_origin != current.ledger_origin => "it names another ledger".to_owned(),
            None if next.serial != current.serial + 1 => format!("its serial is not {}", current.serial + 1),
            None => return Ok(()),
        };
        let hint = "name the present online keys beside the new ones; take them out once every server signs with the new";
        Err(Rejection::new("keys-lock-out", "AU-4", why, hint).into())
    }

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
        Jws::parse(&kept.ok_or_else(lost)?).map_err(unavailable)
    }

    /// A constitution by its digest, as far as it is kept here.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn constitution_kept(&self, digest: Digest) -> Result<Option<Jws>, PlaneError> {
        if self.federation.constitution.digest() == digest {
            return Ok(Some(self.federation.constitution.clone()));
        }
        let kept = self.store.document_load(CONSTITUTION, &digest.to_string()).await?;
        kept.map(|bytes| Jws::parse(&bytes).map_err(unavailable)).transpose()
    }

    /// Writes the founding entries: the federation, its keys, its constitution.
    pub(crate) async fn found(&self) -> Result<(), PlaneError> {
        let now = self.now();
        let federation = &self.federation;
        let document: ConstitutionDocument =
            federation.constitution.open(Typ::Constitution, &federation.keys.founder).map_err(|error| {
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
