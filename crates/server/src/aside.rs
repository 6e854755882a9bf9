//! Keys in tokens take their time: whoever waits for one lets the other tasks of his thread go elsewhere.

use proof::{PublicKey, Sign, SignError};
use tokio::runtime::{Handle, RuntimeFlavor};
use trust::Signer;

/// A key that is asked aside of the runtime's own threads.
pub(crate) struct Aside(pub(crate) Signer);

impl Sign for Aside {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signed = match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| self.0.sign(message)),
            // A runtime of one thread has nowhere to send them.
            _ => self.0.sign(message),
        };
        // Told here too, since a handshake that fails is nobody's request.
        signed.inspect_err(|error| tracing::error!(%error, "a token did not sign"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::SeedKey;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    /// A token that answers only once somebody else has done something.
    struct Slow(SeedKey, Mutex<Receiver<()>>);

    impl Sign for Slow {
        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }
        fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
            let waited = self.1.lock().unwrap().recv_timeout(Duration::from_secs(30));
            waited.map_err(|error| SignError { key: self.key_id(), why: error.to_string() })?;
            self.0.sign(message)
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_a_token_thinks() {
        let (done, wait) = channel();
        let key = Aside(Signer::new(Slow(SeedKey::new([1; 32]), Mutex::new(wait))));
        // Both on the one thread of the runtime: the second is what the first waits for.
        let signing = tokio::spawn(async move { key.sign(b"message") });
        let other = tokio::spawn(async move { done.send(()) });
        assert!(signing.await.unwrap().is_ok());
        assert!(other.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn one_thread_signs_too() {
        let key = Aside(Signer::new(SeedKey::new([1; 32])));
        let signature = key.sign(b"message").unwrap();
        assert!(key.public_key().verify(b"message", &signature).is_ok());
    }
}
