//! Calls the handshake endpoints of instances for the server (HS-8): the port of `plane` on the client.

use std::sync::Arc;

use client::Endpoints;
use plane::ports::{Answering, Challenger, Question, Unanswered};
use server::Caller;

struct Outgoing(Endpoints);

/// What calls endpoints with the server's certificate.
pub(crate) fn make(caller: Caller) -> Arc<dyn Challenger> {
    let Caller { root, chain, key, settings } = caller;
    Arc::new(Outgoing(Endpoints::new(root, chain, key, settings.allow, settings.at_once)))
}

impl Challenger for Outgoing {
    fn ask(&self, question: Question) -> Answering<'_> {
        Box::pin(async move {
            let Question { instance, endpoint, keys, nonce } = question;
            let asked = self.0.ask(instance, keys, &endpoint, nonce).await;
            asked.map_err(|error| Unanswered(error.to_string()))
        })
    }
}
