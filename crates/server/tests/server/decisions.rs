//! The decisions about an instance, and the proof that each stands in the log (LG-1, LG-2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governance::{Event, InstanceEvent, State};
use ledger::{Entry, KeyName, LogProof, NoteKey, SignedCheckpoint, TileId};
use proof::KeysDocument;

use crate::common::{Raw, World, bytes_of, refused, statement};

impl World {
    /// The key that signs checkpoints.
    pub(crate) fn ledger_key(&self) -> NoteKey {
        let document = proof::Jws::parse(&bytes_of(&self.path("keys.json"))).unwrap();
        let keys: KeysDocument = document.parse_unverified().unwrap();
        let key = keys.online.iter().find(|key| key.purpose == proof::Purpose::Ledger).unwrap().key;
        NoteKey::new(KeyName::parse(&keys.ledger_origin).unwrap(), key.as_bytes()).unwrap()
    }
}

#[tokio::test]
async fn lg_1_lg_2_an_owner_finds_every_decision_about_his_instance_and_proves_it() {
    let world = World::start().await;
    let operator = world.client(&world.operator());
    let (id, who) = world.active().await;
    let (other, _) = world.active().await;
    let own = world.client(&who);
    own.report(id, statement(id, &who.key, 1, None)).await.unwrap();
    operator.instance_suspend(id).await.unwrap();
    let listed = own.decisions(id, 1).await.unwrap();
    assert_eq!(listed.items, operator.decisions(id, 1).await.unwrap().items);
    assert_eq!(listed.next, None);
    let numbers: Vec<u64> = listed.items.iter().map(|item| item.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(listed.items.iter().all(|item| matches!(&item.event, Event::Instance(about, _) if *about == id)));
    let last = listed.items.last().unwrap();
    assert!(matches!(&last.event, Event::Instance(_, InstanceEvent::Moved { to: State::Suspended, .. })));
    assert_eq!(last.actor.as_deref(), Some("operator/admin"));
    assert_eq!(own.decisions(id, 2).await.unwrap().items, listed.items[1..]);
    let (key, ledger) = (world.ledger_key(), operator.ledger_entries(0, 500).await.unwrap().entries);
    for item in &listed.items {
        let text = world.proved(&own, id, item.number).await;
        let read = LogProof::parse(text.as_bytes()).unwrap();
        let proven = read.verify(&key).unwrap();
        assert_eq!(proven.position, item.position);
        let bytes = STANDARD.decode(&ledger[usize::try_from(item.position).unwrap()]);
        assert_eq!(proven.entry, bytes.unwrap());
        assert_eq!(Entry::decode(proven.entry).unwrap().event, item.event);
    }
    // What the ledger only commits to is disclosed to those who may read the entry.
    let mut registered = listed.items[0].event.clone();
    let Event::Instance(_, event) = &mut registered else { panic!("{registered:?}") };
    assert_eq!(event.commitments().len(), 2);
    let find =
        |committed| listed.items[0].openings.iter().find(|opening| opening.committed == committed).cloned();
    assert_eq!(event.open(find).unwrap().opened, 2);
    let InstanceEvent::Registered(registration) = event else { panic!("{event:?}") };
    let endpoint = operator.instance(id).await.unwrap().endpoint;
    assert!(endpoint.is_some() && registration.endpoint.value() == endpoint.as_ref());
    assert!(operator.ledger_proof(0).await.unwrap().starts_with(ledger::log_proof::HEADER));
    // The same entries as any reader of C2SP tlog-tiles has them.
    let size = world.published_size(&operator).await;
    let bundle = TileId::entries(0, u16::try_from(size).unwrap()).unwrap();
    let bytes = operator.ledger_tile(bundle).await.unwrap();
    let bundled = ledger::tile::parse_entries(bundle, &bytes).unwrap();
    let paged = ledger.iter().map(|text| STANDARD.decode(text).unwrap());
    assert!(bundled.iter().zip(paged).all(|(bundled, paged)| *bundled == paged));
    assert_eq!(bundled.len() as u64, size);
    let nowhere = TileId::entries(9, 1).unwrap();
    refused(operator.ledger_tile(nowhere).await, 404, "not-found");
    refused(own.ledger_tile(bundle).await, 403, "not-authorised");
    // Nobody else's, and none that there is not.
    refused(own.decisions(other, 1).await, 403, "not-authorised");
    refused(own.decision_proof(other, 1).await, 403, "not-authorised");
    refused(own.ledger_proof(0).await, 403, "not-authorised");
    for number in [0, 999] {
        refused(own.decision_proof(id, number).await, 404, "not-found");
    }
    refused(operator.ledger_proof(9_999).await, 404, "not-found");
    let nobody = governance::InstanceId::from_random([9; 16]);
    refused(operator.decisions(nobody, 1).await, 404, "not-found");
    Raw::get(format!("/v1/instances/{id}/decisions?from=x"))
        .send(&world, &who)
        .await
        .refused(400, "query-malformed");
}

impl World {
    /// How many entries the last checkpoint covers.
    async fn published_size(&self, client: &client::Client) -> u64 {
        let text = client.ledger_checkpoint().await.unwrap();
        SignedCheckpoint::parse(text.as_bytes()).unwrap().unverified().head().size
    }

    /// The proof of a decision, once a checkpoint covers it.
    async fn proved(&self, client: &client::Client, id: governance::InstanceId, number: u64) -> String {
        let proved = async {
            loop {
                match client.decision_proof(id, number).await {
                    Ok(text) => return text,
                    Err(error) => assert_eq!(error.code(), Some("not-published-yet"), "{error}"),
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), proved).await.unwrap()
    }
}
