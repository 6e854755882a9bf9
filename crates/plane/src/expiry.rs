//! What runs out, when, and who renews it: metadata, keys and certificates, so that nobody learns it from a failure.

use governance::{Span, Timestamp};
use proof::Sign as _;
use trust::tuf::PublishError;
use wire::{ExpiryView, Renewer};

use crate::ports::Store;
use crate::{Plane, PlaneError};

/// What the plane signs anew by itself, at half of its life, has gone unsigned when less than this part of it is left.
const UNSIGNED_PART: i64 = 4;

impl<S: Store> Plane<S> {
    /// Everything that runs out, the next first. `soon`: within [`Settings::warn_before`](crate::Settings), or signed anew
    /// too late.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn expiries(&self) -> Result<Vec<ExpiryView>, PlaneError> {
        let now = self.now();
        let by_hand = |what: &str, at: Timestamp, by: Renewer, renew: &str| ExpiryView {
            what: what.to_owned(),
            at,
            by,
            renew: renew.to_owned(),
            soon: now + self.settings.warn_before >= at,
        };
        let federation = &self.federation;
        let mut all = vec![
            by_hand(
                "the root CA",
                federation.root_expires,
                Renewer::Founder,
                "found the federation anew: every trust starts there",
            ),
            by_hand(
                "the instance CA",
                federation.instance_ca.expires(),
                Renewer::Founder,
                "`fedplane ca certify instance-ca`, then `fedplane ca activate`",
            ),
            by_hand(
                "the server's certificate",
                federation.server_expires,
                Renewer::Founder,
                "`fedplane ca certify server`",
            ),
        ];
        let keys = self.keys();
        let mine = self.signs();
        for named in
            keys.document.online.iter().filter(|named| mine.contains(&(named.purpose, named.key.id())))
        {
            let what = format!("the {} key {:.8}…", named.purpose, named.key.id().to_string());
            all.push(by_hand(
                &what,
                named.not_after,
                Renewer::Founder,
                "`fedplane keys sign`, and an order to `keys`",
            ));
        }
        let unreadable = |error: PublishError| PlaneError::Unavailable(error.to_string());
        if let Some(published) = self.repository.published().map_err(unreadable)? {
            let hint = "`fedplane keys sign`, and an order to `keys`";
            all.push(by_hand("the TUF root", published.root_expires, Renewer::Founder, hint));
            let hint = "publish a release, or `fedplane release renew`";
            all.push(by_hand("the TUF targets", published.targets_expires, Renewer::Organism, hint));
            for (what, at, lifetime) in [
                ("the TUF snapshot", published.snapshot_expires, self.repository.lifetimes().snapshot),
                ("the TUF timestamp", published.timestamp_expires, self.repository.lifetimes().timestamp),
            ] {
                let least = Span::from_millis(lifetime.as_millis() / UNSIGNED_PART);
                all.push(ExpiryView {
                    what: what.to_owned(),
                    at,
                    by: Renewer::Plane,
                    renew: "the plane signs it anew by itself: its log says why it does not".to_owned(),
                    soon: now + least >= at,
                });
            }
        }
        all.sort_by_key(|one| one.at);
        Ok(all)
    }

    /// With which keys this plane signs what.
    pub(crate) fn signs(&self) -> Vec<(proof::Purpose, proof::KeyId)> {
        let federation = &self.federation;
        let (snapshot, timestamp) = self.repository.keys();
        vec![
            (proof::Purpose::Directives, federation.directives.key_id()),
            (proof::Purpose::Ledger, federation.ledger.key_id()),
            (proof::Purpose::Tokens, federation.tokens.key_id()),
            (proof::Purpose::Snapshot, snapshot),
            (proof::Purpose::Timestamp, timestamp),
        ]
    }
}
