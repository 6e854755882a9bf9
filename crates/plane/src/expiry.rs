//! What runs out, when, and who renews it: metadata, keys and certificates, so that nobody learns it from a failure.

use governance::{Span, Timestamp};
use proof::{OnlineKey, Sign as _};
use trust::tuf::{Lifetimes, PublishError, Published};
use wire::{ExpiryView, Renewer};

use crate::ports::Store;
use crate::{Plane, PlaneError};

/// What the plane signs anew by itself, at half of its life, has gone unsigned when less than this part of it is left.
const UNSIGNED_PART: i64 = 4;

/// What runs out in a federation, as it stands.
#[derive(Clone, Debug)]
pub struct Running {
    /// The root CA's last instant, where it is known.
    pub root_ca: Option<Timestamp>,
    /// The instance CA's.
    pub instance_ca: Option<Timestamp>,
    /// That of the server's certificate.
    pub server: Option<Timestamp>,
    /// The online keys that are signed with.
    pub online: Vec<OnlineKey>,
    /// What of TUF is published.
    pub published: Option<Published>,
    /// For how long the plane signs snapshot and timestamp.
    pub lifetimes: Lifetimes,
    /// How long before something runs out its operators are warned.
    pub warn_before: Span,
}

impl Running {
    /// Everything that runs out, the next first. `soon`: within [`Running::warn_before`], or signed anew too late.
    #[must_use]
    pub fn out(&self, now: Timestamp) -> Vec<ExpiryView> {
        let by_hand = |what: &str, at: Timestamp, by: Renewer, renew: &str| ExpiryView {
            what: what.to_owned(),
            at,
            by,
            renew: renew.to_owned(),
            soon: now + self.warn_before >= at,
        };
        let certificates = [
            ("the root CA", self.root_ca, "found the federation anew: every trust starts there"),
            (
                "the instance CA",
                self.instance_ca,
                "`fedplane ca certify instance-ca`, then `fedplane ca activate`",
            ),
            ("the server's certificate", self.server, "`fedplane ca certify server`"),
        ];
        let known = certificates.into_iter().filter_map(|(what, at, renew)| Some((what, at?, renew)));
        let mut all: Vec<ExpiryView> =
            known.map(|(what, at, renew)| by_hand(what, at, Renewer::Founder, renew)).collect();
        for named in &self.online {
            let what = format!("the {} key {:.8}…", named.purpose, named.key.id().to_string());
            all.push(by_hand(
                &what,
                named.not_after,
                Renewer::Founder,
                "`fedplane keys sign`, and an order to `keys`",
            ));
        }
        if let Some(published) = &self.published {
            let hint = "`fedplane keys sign`, and an order to `keys`";
            all.push(by_hand("the TUF root", published.root_expires, Renewer::Founder, hint));
            let hint = "publish a release, or `fedplane release renew`";
            all.push(by_hand("the TUF targets", published.targets_expires, Renewer::Organism, hint));
            for (what, at, lifetime) in [
                ("the TUF snapshot", published.snapshot_expires, self.lifetimes.snapshot),
                ("the TUF timestamp", published.timestamp_expires, self.lifetimes.timestamp),
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
        all
    }
}

impl<S: Store> Plane<S> {
    /// Everything that runs out, the next first. `soon`: within [`Settings::warn_before`](crate::Settings), or signed anew
    /// too late.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn expiries(&self) -> Result<Vec<ExpiryView>, PlaneError> {
        let federation = &self.federation;
        let (keys, mine) = (self.keys(), self.signs());
        let online = keys.document.online.iter();
        let online =
            online.filter(|named| mine.contains(&(named.purpose, named.key.id()))).cloned().collect();
        let unreadable = |error: PublishError| PlaneError::Unavailable(error.to_string());
        let running = Running {
            root_ca: Some(federation.root_expires),
            instance_ca: Some(federation.instance_ca.expires()),
            server: Some(federation.server_expires),
            online,
            published: self.repository.published().map_err(unreadable)?,
            lifetimes: self.repository.lifetimes(),
            warn_before: self.settings.warn_before,
        };
        Ok(running.out(self.now()))
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
