//! Asks the ledger's witnesses for the server (LG-2): the port of `plane` on the client.

use std::sync::Arc;

use client::{ClientError, Witnesses};
use plane::ports::{Cosigner, Cosigning, Unanswered, WitnessAnswer};

struct Outgoing(Witnesses);

/// What asks witnesses.
///
/// # Errors
/// When TLS cannot be set up.
pub(crate) fn make() -> Result<Arc<dyn Cosigner>, ClientError> {
    Ok(Arc::new(Outgoing(Witnesses::new()?)))
}

impl Cosigner for Outgoing {
    fn ask<'a>(&'a self, url: &'a str, request: String) -> Cosigning<'a> {
        Box::pin(async move {
            let answer = self.0.add_checkpoint(url, request).await;
            let (status, body) = answer.map_err(|error| Unanswered(error.to_string()))?;
            Ok(WitnessAnswer { status, body })
        })
    }
}
