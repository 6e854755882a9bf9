//! The ledger of the plane under test: logs that fork, and checkpoints by any key.

use ::ledger::checkpoint::Checkpoint;
use ::ledger::memory::MemoryLog;
use ::ledger::{KeyName, NoteKey, SignedCheckpoint, TreeHead};
use proof::Sign as _;
use proof::challenge::{LedgerSeen, Nonce};

use super::{DOMAIN, LEDGER, Plane, seed};

impl Plane {
    /// Publishes a log: its tiles, then a checkpoint of it.
    pub fn publish_ledger(&self, log: &MemoryLog, head: TreeHead) {
        for (id, bytes) in log.files() {
            let path = self.folder.join(id.to_string());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        self.publish_checkpoint(&checkpoint(head, LEDGER));
    }

    pub fn publish_checkpoint(&self, checkpoint: &SignedCheckpoint) {
        std::fs::write(self.folder.join("checkpoint"), checkpoint.to_string()).unwrap();
    }

    /// Takes the checkpoint away.
    pub fn withhold_checkpoint(&self) {
        std::fs::remove_file(self.folder.join("checkpoint")).unwrap();
    }

    /// Takes every tile away.
    pub fn withhold_tiles(&self) {
        std::fs::remove_dir_all(self.folder.join("tile")).unwrap();
    }

    /// Challenges the instance with its next check-in, and waits for the answer; what it says of the ledger.
    pub async fn challenge(&self) -> Option<LedgerSeen> {
        self.book().challenge = Some(Nonce::from_random(trust::random().unwrap()));
        self.until("it answers", |book| book.challenge.is_none()).await;
        self.book().seen.clone()
    }
}

/// A log of so many entries, which are others from the `forked`-th on, and its head.
pub fn log(size: u64, forked: u64) -> (MemoryLog, TreeHead) {
    let mut log = MemoryLog::new();
    for number in 0..size {
        log.append(&if number < forked { number } else { !number }.to_be_bytes()).unwrap();
    }
    let head = log.publish().unwrap();
    (log, head)
}

/// The checkpoint of a log, by the key of this number.
pub fn checkpoint(head: TreeHead, by: u8) -> SignedCheckpoint {
    let (origin, signer) = (KeyName::parse(&format!("{DOMAIN}/ledger")).unwrap(), seed(by));
    let key = NoteKey::new(origin.clone(), signer.public_key().as_bytes()).unwrap();
    Checkpoint::new(origin, head).unwrap().sign(&key, |message| signer.sign(message)).unwrap()
}
