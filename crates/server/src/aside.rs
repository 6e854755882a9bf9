//! Keys in tokens and files on disks take their time: whoever waits for one lets the other tasks of his thread go elsewhere.

use std::io;

use plane::publication::Files;
use proof::{PublicKey, Sign, SignError};
use tokio::runtime::{Handle, RuntimeFlavor};
use trust::Signer;

/// A key, or files, that is asked aside of the runtime's own threads.
pub(crate) struct Aside<T>(pub(crate) T);

fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // A runtime of one thread has nowhere to send them.
        _ => work(),
    }
}

impl Sign for Aside<Signer> {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signed = aside(|| self.0.sign(message));
        // Told here too, since a handshake that fails is nobody's request.
        signed.inspect_err(|error| tracing::error!(%error, "a token did not sign"))
    }
}

impl<F: Files> Files for Aside<F> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        aside(|| self.0.read(path))
    }
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        aside(|| self.0.write(path, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::SeedKey;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
    use std::time::Duration;

    /// A token, or a disk, that answers only once somebody else has done something.
    struct Slow(SeedKey, Mutex<Receiver<()>>);

    impl Slow {
        fn wait(&self) -> Result<(), RecvTimeoutError> {
            self.1.lock().unwrap().recv_timeout(Duration::from_secs(30))
        }
    }

    impl Sign for Slow {
        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }
        fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
            self.wait().map_err(|error| SignError { key: self.key_id(), why: error.to_string() })?;
            self.0.sign(message)
        }
    }

    impl Files for Slow {
        fn read(&self, _: &str) -> io::Result<Option<Vec<u8>>> {
            self.wait().map(|()| None).map_err(io::Error::other)
        }
        fn write(&self, _: &str, _: &[u8]) -> io::Result<()> {
            self.wait().map_err(io::Error::other)
        }
    }

    fn slow() -> (Sender<()>, Slow) {
        let (done, wait) = channel();
        (done, Slow(SeedKey::new([1; 32]), Mutex::new(wait)))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_a_token_thinks() {
        let (done, key) = slow();
        let key = Aside(Signer::new(key));
        // Both on the one thread of the runtime: the second is what the first waits for.
        let signing = tokio::spawn(async move { key.sign(b"message") });
        let other = tokio::spawn(async move { done.send(()) });
        assert!(signing.await.unwrap().is_ok());
        assert!(other.await.unwrap().is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_a_disk_turns() {
        let (done, files) = slow();
        let files = Aside(files);
        let reading = tokio::spawn(async move { files.read("checkpoint") });
        let other = tokio::spawn(async move { done.send(()) });
        assert!(reading.await.unwrap().is_ok());
        assert!(other.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn one_thread_signs_too() {
        let key = Aside(Signer::new(SeedKey::new([1; 32])));
        let signature = key.sign(b"message").unwrap();
        assert!(key.public_key().verify(b"message", &signature).is_ok());
    }
}
