//! What an option's value may be: whatever is written wrong is answered with an example.

use std::net::IpAddr;
use std::str::FromStr;

use governance::{InstanceId, Span, Timestamp};

use crate::clock;

/// Reads a whole number.
///
/// # Errors
/// With an example.
pub fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "write a whole number in digits, as 42".to_owned())
}

/// Reads what a server is reached by: a DNS name (RFC 1123), or an address.
///
/// # Errors
/// With an example.
pub fn host(text: &str) -> Result<String, String> {
    // The underscore, which RFC 1123 does not know, is in the names of containers, and TLS takes it.
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // The last label of a name has a letter: what looks like an address and is none is written wrong.
    let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let name = text.len() <= 253 && text.split('.').all(label) && !numeric;
    if name || text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("write a DNS name or an address, as plane.example, 192.0.2.1 or 2001:db8::1".to_owned())
}

/// Reads an instance's id.
///
/// # Errors
/// With an example, and where ids are listed.
pub fn instance(text: &str) -> Result<InstanceId, String> {
    text.parse().map_err(|_| {
        "write it as 2c5ea4c0-4067-4fe9-8bad-9b1deb4d3b7d; `fedplane instance list` shows the ids".to_owned()
    })
}

/// Reads an instant, or how long ago it was.
///
/// # Errors
/// With examples of both.
pub fn since(text: &str) -> Result<Timestamp, String> {
    let ago = || text.parse::<Span>().ok().map(|span| clock::now() - span);
    let instant = text.parse().ok().or_else(ago);
    instant.ok_or_else(|| "write an instant, as 2026-01-31T00:00:00.000Z, or how long ago, as 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_dns_name_or_an_address() {
        let label = "a".repeat(63);
        for good in [
            "localhost",
            "plane.example",
            "3com.example",
            "xn--bcher-kva.example",
            "::1",
            "192.0.2.1",
            "plane_1",
            &label,
        ] {
            assert_eq!(host(good).as_deref(), Ok(good));
        }
        let long = format!("{label}a");
        let longer = [label.as_str(); 4].join(".");
        for bad in [
            "",
            "bad name",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-.b",
            "*.example",
            "192.0.2",
            "192.0.2.256",
            "[::1]",
            "https://a",
            "a:8443",
            "bücher.example",
            "a\nb",
            &long,
            &longer,
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
