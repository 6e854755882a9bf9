//! Releases, rollouts and orders: what the Organism hands in, operators steer, and the Founder commands.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::decide::{Command, WorldCommand};
use governance::{Authority, Person, Release, Version};
use proof::Jws;
use proof::jws::Typ;
use proof::order::{Asks, Order, OrderAction, REASON_BYTES_MAX};
use proof::tuf::{Document as TufDocument, TargetFile, Targets};
use trust::tuf::PublishError;

use crate::decision::By;
use crate::ports::{Document, Store};
use crate::{Plane, PlaneError, Rejection};

/// Bytes of a release's manifest. It stands in one ledger entry, once decided and once signed.
pub const MANIFEST_BYTES_MAX: usize = 24 * 1024;

/// The kind under which constitutions are kept; each by its digest.
pub(crate) const CONSTITUTION: &str = "constitution";

/// What an operator does to a rollout (RO-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutVerb {
    /// Stops the offers.
    Pause,
    /// Lets them go on.
    Resume,
    /// Ends it where it stands.
    Abort,
    /// Approves the next phase.
    Approve,
}

impl<S: Store> Plane<S> {
    /// Publishes a release that the Organism signed, with the TUF metadata that lists its files (RL-1, RL-3).
    ///
    /// The files themselves must be in the repository already. TUF metadata is published before the release is put on
    /// record: a crash between leaves a target that nobody is directed to, and the same call again goes on from there.
    ///
    /// # Errors
    /// When a signature, the metadata or the law refuses it.
    pub async fn publish(
        &self,
        person: &Person,
        request: &wire::Publish,
    ) -> Result<wire::ReleaseView, PlaneError> {
        let release: Release =
            request.release.open(Typ::Release, &self.keys().document.organism).map_err(|error| {
                let hint = "have the Organism threshold sign the release";
                Rejection::new("release-untrusted", "RL-1", error.to_string(), hint)
            })?;
        let bytes = request.release.payload_unverified().len();
        if bytes > MANIFEST_BYTES_MAX {
            let detail = format!("the manifest has {bytes} bytes: at most {MANIFEST_BYTES_MAX}");
            let hint = "shorten notes and instructions, or point to a document";
            return Err(Rejection::new("manifest-too-large", "LG-1", detail, hint).into());
        }
        let targets = STANDARD.decode(&request.targets).map_err(|error| {
            Rejection::new("targets-malformed", "RL-3", error.to_string(), "send targets.json in base64")
        })?;
        check_targets(&release, &request.release, &targets)?;
        let command = WorldCommand::Publish {
            release: Box::new(release.clone()),
            digest: request.release.digest(),
            restriction: request.only.clone(),
            approval: request.approval.clone(),
        };
        // Ask the law first, as it is by now: what it refuses must not reach the repository.
        self.look_again().await?;
        governance::decide::decide_world(&self.seen().world, &command, self.now())?;
        self.repository.publish(&targets, self.now()).map_err(|error| {
            let hint = "sign targets.json over the repository's present one, with the Organism threshold";
            match error.unsigned() {
                Some(error) => PlaneError::from(error.clone()),
                None => Rejection::new("targets-refused", "RL-3", error.to_string(), hint).into(),
            }
        })?;
        let by = By::Organism(Box::new(request.release.clone()), person.clone());
        let document = Document {
            kind: "release".to_owned(),
            name: release.version.to_string(),
            bytes: request.release.to_json().into_bytes(),
        };
        self.decide_world(&[command], &by, vec![document]).await?;
        self.sweep_soon().await?;
        self.release_view(release.version).await
    }

    /// Takes a release back; findings that rest on it are closed (RO-7).
    ///
    /// # Errors
    /// When there is no such release.
    pub async fn withdraw(&self, person: &Person, release: Version) -> Result<wire::ReleaseView, PlaneError> {
        self.decide_world(
            &[WorldCommand::Withdraw { release, by: Authority::Federation }],
            &By::Person(person.clone()),
            Vec::new(),
        )
        .await?;
        self.sweep_soon().await?;
        self.release_view(release).await
    }

    /// An operator steers a rollout (RO-6).
    ///
    /// # Errors
    /// When its state forbids it.
    pub async fn steer(
        &self,
        person: &Person,
        release: Version,
        verb: RolloutVerb,
    ) -> Result<wire::RolloutView, PlaneError> {
        let command = match verb {
            RolloutVerb::Pause => WorldCommand::Pause { release },
            RolloutVerb::Resume => WorldCommand::Resume { release, by: Authority::Federation },
            RolloutVerb::Abort => WorldCommand::Abort { release },
            RolloutVerb::Approve => WorldCommand::Approve { release },
        };
        self.decide_world(&[command], &By::Person(person.clone()), Vec::new()).await?;
        self.sweep_soon().await?;
        self.rollout_view(release).await
    }

    /// A freeze: no offers inside, except of security releases (RO-6).
    ///
    /// # Errors
    /// When it is over already, or ends before it begins.
    pub async fn freeze(&self, person: &Person, freeze: wire::Freeze) -> Result<(), PlaneError> {
        let wire::Freeze { from, until } = freeze;
        self.decide_world(&[WorldCommand::Freeze { from, until }], &By::Person(person.clone()), Vec::new())
            .await?;
        self.sweep_soon().await
    }

    /// The red switch: stops every offer at once, or lets them go on (RO-6).
    ///
    /// # Errors
    /// When the reason is too long, or the store does not answer.
    pub async fn red_switch(&self, person: &Person, turn: &wire::RedSwitch) -> Result<(), PlaneError> {
        let reason = turn.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
        if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            let detail = format!("the reason is longer than {REASON_BYTES_MAX} bytes");
            let hint = "say it in a sentence, and point to a document for the rest";
            return Err(Rejection::new("reason-too-long", "RO-6", detail, hint).into());
        }
        let command = WorldCommand::RedSwitch { on: turn.on, reason: reason.map(str::to_owned) };
        self.decide_world(&[command], &By::Person(person.clone()), Vec::new()).await?;
        self.sweep_soon().await
    }

    /// A person says that somebody has in hand what lies before the Founder (FO-2).
    ///
    /// # Errors
    /// When nothing such is open, or both an instance and a release are named.
    pub async fn acknowledge(&self, person: &Person, request: &wire::Acknowledge) -> Result<(), PlaneError> {
        let wire::Acknowledge { rule, instance, release } = request.clone();
        match (instance, release) {
            (Some(_), Some(_)) => {
                let detail = "both an instance and a release are named";
                Err(Rejection::new("subject-ambiguous", "FO-2", detail, "name one of them").into())
            }
            (Some(id), None) => self.operate(person, id, Command::Acknowledge { rule }).await.map(|_| ()),
            (None, release) => {
                let command = WorldCommand::Acknowledge { release, rule };
                self.decide_world(&[command], &By::Person(person.clone()), Vec::new()).await
            }
        }
    }

    /// A Founder's order (FO-1). It is carried out in the commit that accepts it.
    ///
    /// # Errors
    /// When it is under threshold, replayed, expired, or the law has no such step.
    pub async fn order(&self, order: &Jws) -> Result<(), PlaneError> {
        let payload: Order = order.open(Typ::Order, &self.keys().document.founder).map_err(|error| {
            let hint = "have the Founder threshold sign the order: `order sign` adds a signature";
            Rejection::new("order-untrusted", "FO-1", error.to_string(), hint)
        })?;
        let accept = WorldCommand::AcceptOrder {
            serial: payload.serial,
            expires: payload.expires,
            digest: order.digest(),
        };
        let by = By::Founder(Box::new(order.clone()));
        let document = Document {
            kind: "order".to_owned(),
            name: payload.serial.to_string(),
            bytes: order.to_json().into_bytes(),
        };
        let asks = payload.asks(&self.keys().document.founder).map_err(|error| {
            let hint = "sign the constitution and the order over it anew: `constitution sign`";
            Rejection::new("order-untrusted", "FO-1", error.to_string(), hint)
        })?;
        match asks {
            Asks::Instance(id, command) => {
                self.decide_order(&accept, id, &by, document, |instance, world, now| {
                    governance::decide::decide(instance, &command, world, now)
                })
                .await?;
                Ok(())
            }
            Asks::World(command) => {
                let mut documents = vec![document];
                if let OrderAction::Amend { constitution, .. } = &payload.action {
                    documents.push(Document {
                        kind: CONSTITUTION.to_owned(),
                        name: constitution.digest().to_string(),
                        bytes: constitution.to_json().into_bytes(),
                    });
                }
                self.decide_world(&[accept, command], &by, documents).await?;
                self.sweep_soon().await
            }
            Asks::Keys(signed, root) => self.keys_publish(accept, &by, document, *signed, root).await,
        }
    }

    /// Takes targets metadata that the Organism signed anew before the last one runs out: it lists the same files (RL-3). What is
    /// listed changes with a release, and with nothing else.
    ///
    /// # Errors
    /// When it lists anything else, or clients would not believe it.
    pub fn targets_renew(&self, targets: &str) -> Result<wire::TargetsView, PlaneError> {
        let hint = "sign it with `release renew`, over the targets in force";
        let refuse = |why: String| Rejection::new("targets-refused", "RL-3", why, hint);
        let bytes =
            STANDARD.decode(targets).map_err(|error| refuse(format!("targets: no base64: {error}")))?;
        let listed = |bytes: &[u8]| {
            let document = TufDocument::<Targets>::parse(bytes);
            document.map(|document| document.signed.targets).map_err(|fault| refuse(fault.to_string()))
        };
        let unreadable = |error: PublishError| PlaneError::Unavailable(error.to_string());
        let current = self.repository.targets_bytes().map_err(unreadable)?.unwrap_or_default();
        if listed(&bytes)? != listed(&current)? {
            return Err(refuse("it lists other files than the targets in force".to_owned()).into());
        }
        let published =
            self.repository.publish(&bytes, self.now()).map_err(|error| refuse(error.to_string()))?;
        Ok(wire::TargetsView { version: published.targets, expires: published.targets_expires })
    }

    /// Puts a file of a release into the repository, where nobody is offered it until the Organism's metadata lists it.
    ///
    /// # Errors
    /// When the name is not flat, too much waits to be listed already, or the disk does not take it.
    pub fn target_put(&self, name: &str, source: &mut dyn std::io::Read) -> Result<TargetFile, PlaneError> {
        self.repository.target_put(name, source, wire::PACKAGE_BYTES_MAX).map_err(|error| {
            let why = error.to_string();
            match error {
                PublishError::Name(_) => {
                    Rejection::new("target-refused", "RL-3", why, "send the file under a flat name").into()
                }
                PublishError::Full { .. } => {
                    let hint = "publish what was uploaded, or wait until it is removed";
                    Rejection::new("incoming-full", "RL-3", why, hint).into()
                }
                other => other.into(),
            }
        })
    }
}

/// Whether the Organism's metadata lists exactly the package and the manifest that it signed.
fn check_targets(release: &Release, manifest: &Jws, targets: &[u8]) -> Result<(), PlaneError> {
    let hint = "make both with `release sign`, which adds the files to targets.json";
    let refuse = |detail: String| Err(Rejection::new("targets-refused", "RL-3", detail, hint).into());
    let document = match TufDocument::<Targets>::parse(targets) {
        Ok(document) => document,
        Err(fault) => return refuse(fault.to_string()),
    };
    let listed: &BTreeMap<String, TargetFile> = &document.signed.targets;
    let package = &release.package;
    let fits = |name: &str, digest: &[u8; 32], length: u64| {
        listed.get(name).is_some_and(|file| file.sha256() == Some(*digest) && file.length == length)
    };
    if !fits(&package.name, package.digest.as_bytes(), package.length) {
        return refuse(format!("targets.json does not list {} as the manifest has it", package.name));
    }
    let name = manifest_name(release.version);
    let text = manifest.to_json();
    let digest = governance::Digest::of(text.as_bytes());
    if !fits(&name, digest.as_bytes(), text.len() as u64) {
        return refuse(format!("targets.json does not list {name} as it was signed"));
    }
    Ok(())
}

/// The flat target name of a release's signed manifest.
#[must_use]
pub fn manifest_name(release: Version) -> String {
    format!("release-{release}.json")
}

/// 32 random bytes as two times 16.
pub(crate) fn split(bytes: &[u8; 32]) -> [[u8; 16]; 2] {
    let (mut left, mut right) = ([0; 16], [0; 16]);
    left.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    right.iter_mut().zip(bytes.iter().skip(16)).for_each(|(to, from)| *to = *from);
    [left, right]
}
