//! A share of something scarce for each address, so that one address never has all of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The address as it is counted: an IPv6 host has a whole /64 to call from, and an IPv4 address is one in either form.
#[must_use]
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

/// How many places each address holds, and how many it may. Remembers those alone who hold one: whoever bounds the
/// places bounds its memory.
#[derive(Debug)]
pub struct Shares {
    each_max: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// One place of an address; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    address: IpAddr,
}

impl Shares {
    /// At most `each_max` places for each address.
    #[must_use]
    pub fn new(each_max: usize) -> Arc<Self> {
        Arc::new(Self { each_max, held: Mutex::default() })
    }

    /// A place for this address, counted as [`counted`] says; nothing when it holds as many as it may.
    #[must_use]
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
        let address = counted(address);
        let mut held = self.lock();
        let count = held.get(&address).copied().unwrap_or(0);
        if count >= self.each_max {
            return None;
        }
        held.insert(address, count + 1);
        Some(Share { shares: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        match held.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                held.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn hs_7_an_ipv6_host_counts_once() {
        let counted = |text: &str| counted(address(text));
        assert_eq!(counted("2001:db8:1:2:3::4"), counted("2001:db8:1:2:ffff::1"));
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_eq!(counted("::ffff:10.0.0.1"), counted("10.0.0.1"));
        assert_ne!(counted("10.0.0.1"), counted("10.0.0.2"));
    }

    #[test]
    fn hs_7_each_address_has_its_share_and_gives_it_back() {
        let shares = Shares::new(2);
        let first = shares.take(address("2001:db8::1")).unwrap();
        let second = shares.take(address("2001:db8::2")).unwrap();
        assert!(shares.take(address("2001:db8::3")).is_none(), "the /64 has two");
        let other = shares.take(address("10.0.0.1")).unwrap();
        drop(first);
        let third = shares.take(address("2001:db8::3")).unwrap();
        assert!(shares.take(address("2001:db8::3")).is_none());
        drop((second, third, other));
        assert!(shares.lock().is_empty(), "who holds nothing is forgotten");
    }
}
