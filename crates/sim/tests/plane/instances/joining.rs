//! How an instance comes to its identity: it is enrolled, registers, and may enrol afresh under its id (HS-1).

use std::sync::Arc;

use governance::{Digest, InstanceKey, Kind, Span, Tier, Timestamp, Version, WorldEvent};
use plane::PlaneError;
use proof::Sign as _;
use trust::SigningKey;
use wire::{EnrolmentRequest, Metadata, Register};

use super::Device;
use crate::federation::{CEREMONY, key, layers, operator};
use crate::net::{Again, Answering, code, may_pass};
use crate::servers::SimPlane;

impl Device {
    async fn enrol(&mut self) -> (String, Digest) {
        let mut tries = 0;
        loop {
            let server = self.server();
            let request = EnrolmentRequest {
                kind: Kind::SaasShared,
                tier: Tier::Free,
                provider: None,
                labels: vec!["sim".parse().unwrap()],
            };
            let answer = self.servers.call(
                server,
                Again::No,
                Arc::new(move |plane: Arc<SimPlane>| -> Answering<wire::EnrolmentCreated> {
                    let request = request.clone();
                    Box::pin(async move { plane.enrolment_create(&operator("admin"), request).await })
                }),
            );
            if let Some(Ok(created)) = answer.await {
                let on_record = self.book().was_said(|event| {
                    matches!(event, WorldEvent::EnrolmentCreated { digest, .. } if *digest == created.digest)
                });
                if !on_record {
                    self.servers.fate.breach("an enrolment is answered, and not on record");
                }
                return (created.secret, created.digest);
            }
            tries += 1;
            self.wait_again(tries).await;
        }
    }

    /// Registers, and says that it is ready.
    pub(super) async fn join(&mut self) {
        let (mut secret, mut enrolment) = self.enrol().await;
        let mut tries = 0;
        while self.id.is_none() {
            let answer = self.register(&secret, &self.key.clone()).await;
            match answer {
                Some(Ok(registered)) => self.registered(&registered, enrolment),
                Some(Err(error)) if may_pass(&error) => {}
                Some(Err(error)) if code(&error) == "enrolment-expired" => {
                    (secret, enrolment) = self.enrol().await;
                }
                Some(Err(error)) => {
                    let (code, number) = (code(&error), self.number);
                    return self
                        .servers
                        .fate
                        .breach(format!("instance {number} cannot register: {code}: {error}"));
                }
                None => {}
            }
            tries += 1;
            self.wait_again(tries).await;
        }
        self.ready().await;
    }

    async fn register(
        &mut self,
        secret: &str,
        key: &SigningKey,
    ) -> Option<Result<wire::Registered, PlaneError>> {
        let request = Register {
            secret: secret.to_owned(),
            csr: trust::ca::make_csr(key).unwrap(),
            metadata: Metadata {
                platform: self.running,
                runtime: Version::new(0, 1, 0),
                layers: layers(),
                domains: vec![],
                tier: Tier::Free,
                endpoint: "https://127.0.0.1:9999".parse().unwrap(),
            },
        };
        let (server, peer) = (self.server(), *key.public_key());
        self.servers.fate.note(|| format!("instance {} asks server {server}: register", self.number));
        let call = Arc::new(move |plane: Arc<SimPlane>| -> Answering<wire::Registered> {
            let request = request.clone();
            Box::pin(async move { plane.register(&peer, &request).await })
        });
        self.servers.call(server, Again::Freely, call).await
    }

    /// Enrols afresh under its id: a new key, a new chain.
    pub(super) async fn enrol_afresh(&mut self, secret: &str) {
        self.keys_made += 1;
        let next = key(20, self.number * 1_000 + self.keys_made);
        let mut tries = 0;
        let registered = loop {
            match self.register(secret, &next).await {
                Some(Ok(registered)) => break registered,
                Some(Err(error)) if !may_pass(&error) => {
                    return self.servers.fate.note(|| format!("enrolling afresh is refused: {error}"));
                }
                _ => {}
            }
            tries += 1;
            self.wait_again(tries).await;
        };
        if Some(registered.instance) != self.id {
            self.servers.fate.breach("an instance that enrolled afresh has another id");
        }
        self.key = next;
        (self.sequence, self.head, self.pending, self.mark) = (0, None, None, None);
        self.registered(&registered, Digest::of(secret.as_bytes()));
    }

    fn registered(&mut self, registered: &wire::Registered, enrolment: Digest) {
        let id = registered.instance;
        let mine = InstanceKey::from_bytes(*self.key.public_key().as_bytes());
        if !self.book().stood(id, 0, |row| row.key == mine) {
            let digest = enrolment;
            self.servers.fate.breach(format!("a registration under {digest} is answered, and not on record"));
        }
        self.id = Some(id);
        self.certified(registered.renew_at);
    }

    /// Certificates are to be renewed at half of their life.
    pub(super) fn certified(&mut self, renew_at: Timestamp) {
        let life = CEREMONY.law.identity_certificate_lifetime;
        self.not_after = renew_at + Span::from_millis(life.as_millis() / 2);
    }
}
