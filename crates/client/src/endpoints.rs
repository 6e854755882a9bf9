//! Calls the handshake endpoints of instances (HS-8): the one call that the federation makes of its own accord.
//!
//! Whoever answers must hold a certificate of the instance asked, under a key of its own. Calls only addresses that may be
//! called, follows no redirect, reads 64 KiB at most, and makes few calls at once: one at a time to any address.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governance::{Endpoint, InstanceId};
use ipnet::IpNet;
use proof::challenge::{ANSWER_BYTES_MAX, Challenge, Nonce};
use proof::{Jws, PublicKey};
use reqwest::{StatusCode, Url};
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use trust::{RootCa, Signer};

use crate::{ClientError, Use, builder, reach, read, told};

/// From the question to the end of the answer, the wait for a place included.
const WITHIN: Duration = Duration::from_secs(10);
/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;
const PORT: u16 = 443;

/// A caller of handshake endpoints.
pub struct Endpoints {
    root: RootCa,
    chain: Vec<CertificateDer<'static>>,
    key: Signer,
    allowed: Vec<IpNet>,
    places: Semaphore,
    busy: Mutex<HashSet<IpAddr>>,
}

/// Why an endpoint gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Nothing that can be called.
    #[error("{0} is no address that can be called")]
    Malformed(Endpoint),
    /// Its name leads nowhere.
    #[error("the name {host} was not resolved: {why}")]
    Unresolved {
        /// Which name.
        host: String,
        /// Why not.
        why: String,
    },
    /// An address that is not called.
    #[error(transparent)]
    Refused(#[from] reach::Refused),
    /// Another call to the same address is under way.
    #[error("another challenge is on its way to {0}")]
    Busy(IpAddr),
    /// No answer in time.
    #[error("no answer came within {} s", WITHIN.as_secs())]
    Late,
    /// It could not be called, or somebody else answered.
    #[error(transparent)]
    Call(#[from] ClientError),
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Endpoints {
    /// A caller that shows this chain, the federation's server's, and makes at most `at_once` calls at a time. Networks in
    /// `allowed` may be called though they are not the open internet.
    #[must_use]
    pub fn new(
        root: RootCa,
        chain: Vec<CertificateDer<'static>>,
        key: Signer,
        allowed: Vec<IpNet>,
        at_once: usize,
    ) -> Self {
        let places = Semaphore::new(at_once.min(Semaphore::MAX_PERMITS));
        Self { root, chain, key, allowed, places, busy: Mutex::default() }
    }

    /// Puts a challenge to an instance; the answer comes as it is, its signature unverified.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn ask(
        &self,
        instance: InstanceId,
        keys: Vec<PublicKey>,
        endpoint: &Endpoint,
        nonce: Nonce,
    ) -> Result<Jws, EndpointError> {
        let asked = tokio::time::timeout(WITHIN, async {
            let _place = self.places.acquire().await;
            self.call(instance, keys, endpoint, nonce).await
        });
        asked.await.unwrap_or(Err(EndpointError::Late))
    }

    async fn call(
        &self,
        instance: InstanceId,
        keys: Vec<PublicKey>,
        endpoint: &Endpoint,
        nonce: Nonce,
    ) -> Result<Jws, EndpointError> {
        let malformed = || EndpointError::Malformed(endpoint.clone());
        let mut url = Url::parse(endpoint.as_str()).map_err(|_| malformed())?;
        let host = url.host_str().ok_or_else(malformed)?.to_owned();
        let addresses = resolve(&host, url.port().unwrap_or(PORT)).await?;
        let address = self.first_allowed(&addresses)?;
        let _turn = Turn::take(&self.busy, address.ip())?;
        url.set_path(&format!("{}/v1/challenge", url.path().trim_end_matches('/')));
        let mut tls =
            trust::tls::instance_client_config(&self.root, self.chain.clone(), &self.key, instance, keys)
                .map_err(|error| ClientError::Setup(error.to_string()))?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // To the very address that was looked at: the name is not resolved again.
        let http = builder(tls, Use::Answers)
            .resolve_to_addrs(&host, &[address])
            .http1_only()
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| ClientError::Setup(told(&error)))?;
        let url = url.to_string();
        let sent = http.post(&url).json(&Challenge { nonce }).send().await;
        let response = sent.map_err(|error| ClientError::unreachable(&url, &error))?;
        let status = response.status();
        let answer = |why: String| ClientError::Answer { url: url.clone(), status: status.as_u16(), why };
        if status != StatusCode::OK {
            return Err(answer("200 was expected".to_owned()).into());
        }
        let body = read(response, ANSWER_BYTES_MAX, &url).await?;
        Ok(Jws::parse(&body).map_err(|error| answer(error.to_string()))?)
    }

    fn first_allowed(&self, addresses: &[SocketAddr]) -> Result<SocketAddr, reach::Refused> {
        let mut refused = None;
        for address in addresses {
            match reach::check(address.ip(), &self.allowed) {
                Ok(()) => return Ok(*address),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let none = IpAddr::from([0, 0, 0, 0]);
        Err(refused.unwrap_or(reach::Refused { address: none, what: "no address" }))
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, EndpointError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let fail = |why: String| EndpointError::Unresolved { host: host.to_owned(), why };
    let found = tokio::net::lookup_host((bare, port)).await.map_err(|error| fail(error.to_string()))?;
    let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() { Err(fail("it has no address".to_owned())) } else { Ok(addresses) }
}

/// The one call at a time to an address.
struct Turn<'a> {
    busy: &'a Mutex<HashSet<IpAddr>>,
    address: IpAddr,
}

impl<'a> Turn<'a> {
    fn take(busy: &'a Mutex<HashSet<IpAddr>>, address: IpAddr) -> Result<Self, EndpointError> {
        let free = busy.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
        if free { Ok(Self { busy, address }) } else { Err(EndpointError::Busy(address)) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address);
    }
}
