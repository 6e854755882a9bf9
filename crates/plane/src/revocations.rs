//! The certificates that count no more although their time is not over, as others read it (LC-19): those of the revoked, and
//! those over keys that gave way to others (HS-1, HS-2).
//!
//! The plane itself needs no list: it looks at the record of whoever calls.

use governance::{InstanceId, Span};

use crate::ports::{InstanceFilter, PAGE_MAX, Store};
use crate::{Plane, PlaneError};

/// For how long a list is good: whoever reads it fetches it anew long before.
const LIST_LIFETIME: Span = Span::hours(24);

/// Which instance CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The one that certifies instances.
    InForce,
    /// The one before. Serial numbers are random: one list names those of both, and each reader finds his own.
    Retired,
}

impl<S: Store> Plane<S> {
    /// The certificate revocation list of the instance CA (RFC 5280 §5), in DER, signed afresh; or of the one before, nothing
    /// when there is none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revocation_list(&self, of: Authority) -> Result<Option<Vec<u8>>, PlaneError> {
        let issuer = match of {
            Authority::InForce => &self.federation.instance_ca,
            Authority::Retired => match &self.federation.retired_ca {
                Some(retired) => retired,
                None => return Ok(None),
            },
        };
        let now = self.now();
        let filter = InstanceFilter { unbelieved: Some(now), ..InstanceFilter::default() };
        let mut revoked = Vec::new();
        let mut after: Option<InstanceId> = None;
        loop {
            let page = self.store.instance_page(&filter, after, PAGE_MAX).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.id);
            let unbelieved = page.iter().flat_map(|(instance, _)| instance.unbelieved(now));
            revoked.extend(unbelieved.map(|(certificate, since)| (certificate.serial.clone(), since)));
        }
        Ok(Some(issuer.revocation_list(&revoked, now, now + LIST_LIFETIME)?))
    }
}
