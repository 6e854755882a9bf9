//! Which addresses the federation may call of its own accord (HS-8): an instance says where it can be reached, and could name
//! a neighbour of the plane instead of itself.
//!
//! The tables are IANA's special-purpose registries; what is not globally reachable is refused unless it was allowed by hand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What is not the open internet, with what it is (IANA IPv4 Special-Purpose Address Registry, and multicast).
#[rustfmt::skip]
const SPECIAL_V4: &[([u8; 4], u8, &str)] = &[
    ([0, 0, 0, 0],       8,  "this network (RFC 791)"),
    ([10, 0, 0, 0],      8,  "private (RFC 1918)"),
    ([100, 64, 0, 0],    10, "shared by carriers (RFC 6598)"),
    ([127, 0, 0, 0],     8,  "loopback (RFC 1122)"),
    ([169, 254, 0, 0],   16, "link-local (RFC 3927)"),
    ([172, 16, 0, 0],    12, "private (RFC 1918)"),
    ([192, 0, 0, 0],     24, "for protocols (RFC 6890)"),
    ([192, 0, 2, 0],     24, "for documentation (RFC 5737)"),
    ([192, 88, 99, 0],   24, "a relay of 6to4 (RFC 7526)"),
    ([192, 168, 0, 0],   16, "private (RFC 1918)"),
    ([198, 18, 0, 0],    15, "for benchmarks (RFC 2544)"),
    ([198, 51, 100, 0],  24, "for documentation (RFC 5737)"),
    ([203, 0, 113, 0],   24, "for documentation (RFC 5737)"),
    ([224, 0, 0, 0],     4,  "multicast (RFC 5771)"),
    ([240, 0, 0, 0],     4,  "reserved (RFC 1112)"),
];

/// Inside 2000::/3, where alone the open internet is.
#[rustfmt::skip]
const SPECIAL_V6: &[([u16; 3], u8, &str)] = &[
    ([0x2001, 0, 0],      23, "for protocols (RFC 2928)"),
    ([0x2001, 0xdb8, 0],  32, "for documentation (RFC 3849)"),
    ([0x2002, 0, 0],      16, "6to4 (RFC 3056)"),
    ([0x3fff, 0, 0],      20, "for documentation (RFC 9637)"),
];

/// Why an address is not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {what}, and no network in `challenge.allow` holds it")]
pub struct Refused {
    /// Which.
    pub address: IpAddr,
    /// What it is for.
    pub what: &'static str,
}

/// Whether this address may be called.
///
/// # Errors
/// What it is, when it is not globally reachable and in no allowed network.
pub fn check(address: IpAddr, allowed: &[IpNet]) -> Result<(), Refused> {
    // As the system would connect: an IPv4 address in the clothes of IPv6 is judged as what it is.
    let address = address.to_canonical();
    if allowed.iter().any(|network| network.contains(&address)) {
        return Ok(());
    }
    let special = match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    };
    special.map_or(Ok(()), |what| Err(Refused { address, what }))
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let holds = |network: [u8; 4], bits: u8| {
        let shift = 32_u32.saturating_sub(u32::from(bits));
        address.to_bits() >> shift == Ipv4Addr::from(network).to_bits() >> shift
    };
    SPECIAL_V4.iter().find(|(network, bits, _)| holds(*network, *bits)).map(|(_, _, what)| *what)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [first, ..] = address.segments();
    match address {
        _ if address.is_unspecified() => return Some("unspecified (RFC 4291)"),
        _ if address.is_loopback() => return Some("loopback (RFC 4291)"),
        _ if address.is_unicast_link_local() => return Some("link-local (RFC 4291)"),
        _ if address.is_unique_local() => return Some("private (RFC 4193)"),
        _ if address.is_multicast() => return Some("multicast (RFC 4291)"),
        _ if first >> 13 != 1 => return Some("not global unicast (RFC 4291)"),
        _ => {}
    }
    let holds = |[a, b, c]: [u16; 3], bits: u8| {
        let shift = 128_u32.saturating_sub(u32::from(bits));
        address.to_bits() >> shift == Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_bits() >> shift
    };
    SPECIAL_V6.iter().find(|(network, bits, _)| holds(*network, *bits)).map(|(_, _, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hs_8_private_loopback_and_link_local_addresses_are_not_called() {
        for (address, word) in [
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("0.0.0.0", "this network"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("169.254.169.254", "link-local"),
            ("100.64.0.1", "carriers"),
            ("192.0.0.8", "protocols"),
            ("198.19.0.1", "benchmarks"),
            ("203.0.113.9", "documentation"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::1", "loopback"),
            ("::", "unspecified"),
            ("fe80::1", "link-local"),
            ("fd00::1", "private"),
            ("ff02::1", "multicast"),
            // IPv4 in disguise.
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::127.0.0.1", "not global"),
            ("64:ff9b::7f00:1", "not global"),
            ("2002:7f00:1::", "6to4"),
            ("2001::1", "protocols"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("5f00::1", "not global"),
        ] {
            let refused = check(address.parse().unwrap(), &[]).unwrap_err();
            assert!(refused.what.contains(word), "{address}: {refused}");
        }
        for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1", "2001:4860::1"] {
            assert_eq!(check(address.parse().unwrap(), &[]), Ok(()), "{address}");
        }
    }

    #[test]
    fn hs_8_what_was_allowed_by_hand_is_called() {
        let allowed = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (address, good) in [
            ("10.9.9.9", true),
            ("::ffff:10.9.9.9", true),
            ("fd12::1", true),
            ("192.168.0.1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(check(address.parse().unwrap(), &allowed).is_ok(), good, "{address}");
        }
    }
}
