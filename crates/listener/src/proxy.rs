//! The PROXY protocol, version 2: what a balancer says before a connection's first byte of who is at its other end.
//!
//! Believed of those alone who stand in [`Balancers`]: anybody can write such a header. Version 1, which is text without a
//! bound of its own, is not read. Source: the protocol's specification, "proxy-protocol.txt", section 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What every header begins with.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of the part that says how long the rest is.
pub const PREFIX_BYTES: usize = 16;
/// Bytes of the rest: addresses, and what a balancer has to tell beside them, which is passed over.
pub const REST_BYTES_MAX: u16 = 4096;

/// Bytes of two addresses and two ports.
const V4_BYTES: usize = 12;
const V6_BYTES: usize = 36;

/// Networks of the balancers in front, whose connections begin with a header; none: nobody's do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancers(Arc<[IpNet]>);

impl Balancers {
    /// Those of these networks.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether a connection from this address is a balancer's.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Who is at the other end, as a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The balancer itself, as when it asks whether the server is well; or somebody whose address it cannot say.
    Balancer,
    /// The client at this address.
    Client(SocketAddr),
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// They begin otherwise.
    #[error("it does not begin as PROXY protocol v2 does: set the balancer to send version 2")]
    Signature,
    /// Another version.
    #[error("version {0} of the PROXY protocol: 2 is read")]
    Version(u8),
    /// Neither `LOCAL` nor `PROXY`.
    #[error("the command {0} of the PROXY protocol is not known")]
    Command(u8),
    /// Neither TCP over IPv4, TCP over IPv6 nor unspecified.
    #[error("the family and transport {0:#04x} of the PROXY protocol is no TCP over IP")]
    Family(u8),
    /// The rest is longer than it may be.
    #[error("{0} bytes behind the head of the PROXY protocol: at most {REST_BYTES_MAX}")]
    TooLong(u16),
    /// The rest is shorter than its addresses, or than was said.
    #[error("{0} bytes behind the head of the PROXY protocol: too few for what it says")]
    TooShort(usize),
}

/// The first part of a header, once it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    family: Family,
    rest: u16,
}

/// What the rest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Nobody,
    V4,
    V6,
}

impl Head {
    /// Reads the first part.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub fn read(bytes: &[u8; PREFIX_BYTES]) -> Result<Self, ProxyError> {
        let [signature @ .., version, family, high, low] = bytes;
        if *signature != SIGNATURE {
            return Err(ProxyError::Signature);
        }
        let (version, command) = (version >> 4, version & 0x0f);
        if version != 2 {
            return Err(ProxyError::Version(version));
        }
        let family = match (command, family) {
            // What is said of addresses then counts for nothing.
            (0, _) | (1, 0x00) => Family::Nobody,
            (1, 0x11) => Family::V4,
            (1, 0x21) => Family::V6,
            (1, other) => return Err(ProxyError::Family(*other)),
            (other, _) => return Err(ProxyError::Command(other)),
        };
        let rest = u16::from_be_bytes([*high, *low]);
        if rest > REST_BYTES_MAX {
            return Err(ProxyError::TooLong(rest));
        }
        Ok(Self { family, rest })
    }

    /// Bytes of the rest.
    #[must_use]
    pub fn rest(&self) -> usize {
        usize::from(self.rest)
    }

    /// Reads the rest, of which what stands behind the addresses is passed over.
    ///
    /// # Errors
    /// [`ProxyError::TooShort`].
    pub fn finish(&self, rest: &[u8]) -> Result<Told, ProxyError> {
        let short = || ProxyError::TooShort(rest.len().min(self.rest()));
        // What comes behind the header is the client's own.
        let rest = rest.get(..self.rest()).ok_or_else(short)?;
        match self.family {
            Family::Nobody => Ok(Told::Balancer),
            Family::V4 => {
                let [address @ .., _, _, _, _, high, low, _, _] =
                    *rest.first_chunk::<V4_BYTES>().ok_or_else(short)?;
                Ok(client(Ipv4Addr::from(address).into(), high, low))
            }
            Family::V6 => {
                let bytes = rest.first_chunk::<V6_BYTES>().ok_or_else(short)?;
                let (address, others) = bytes.split_first_chunk::<16>().ok_or_else(short)?;
                let [high, low, _, _] = *others.last_chunk::<4>().ok_or_else(short)?;
                Ok(client(Ipv6Addr::from(*address).into(), high, low))
            }
        }
    }
}

fn client(address: IpAddr, high: u8, low: u8) -> Told {
    Told::Client(SocketAddr::new(address, u16::from_be_bytes([high, low])))
}

/// Why a balancer's connection did not begin with a header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unheaded {
    /// It was closed before a byte was said, as balancers do who only look whether somebody listens.
    #[error("it was closed before a byte was said")]
    Gone,
    /// It broke off.
    #[error("the header of the PROXY protocol broke off: {0}")]
    Cut(#[from] std::io::Error),
    /// It is none.
    #[error(transparent)]
    Malformed(#[from] ProxyError),
}

/// Takes the header off a stream, and not a byte more. Waits as long as the peer does: whoever calls bounds it.
pub(crate) async fn take(stream: &mut (impl AsyncRead + Unpin)) -> Result<Told, Unheaded> {
    let mut head = [0; PREFIX_BYTES];
    let (first, others) = head.split_at_mut(1);
    if stream.read(first).await? == 0 {
        return Err(Unheaded::Gone);
    }
    // What is none at its first byte is not waited for.
    if first != SIGNATURE.split_at(1).0 {
        return Err(ProxyError::Signature.into());
    }
    stream.read_exact(others).await?;
    let head = Head::read(&head)?;
    let mut rest = vec![0; head.rest()];
    stream.read_exact(&mut rest).await?;
    Ok(head.finish(&rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE, [command, family].as_slice(), &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0x20, 0xfb];

    fn v6() -> Vec<u8> {
        let from: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let to: Ipv6Addr = "2001:db8::1".parse().unwrap();
        [from.octets().as_slice(), &to.octets(), &[0x1f, 0x90, 0x20, 0xfb]].concat()
    }

    #[tokio::test]
    async fn what_a_header_says_is_taken_off_and_not_a_byte_more() {
        let told = |text: &str| Told::Client(text.parse().unwrap());
        let more = |rest: &[u8]| [rest, &[0x04, 0x00, 0x02, 0xaa, 0xbb]].concat();
        for (what, bytes, expected) in [
            ("IPv4", header(0x21, 0x11, &V4), told("192.0.2.7:8080")),
            ("IPv6", header(0x21, 0x21, &v6()), told("[2001:db8::7]:8080")),
            ("IPv4 and more", header(0x21, 0x11, &more(&V4)), told("192.0.2.7:8080")),
            ("IPv6 and more", header(0x21, 0x21, &more(&v6())), told("[2001:db8::7]:8080")),
            ("a look", header(0x20, 0x00, &[]), Told::Balancer),
            ("a look with addresses", header(0x20, 0x11, &V4), Told::Balancer),
            ("a look of any family", header(0x20, 0xf9, &[1, 2, 3]), Told::Balancer),
            ("unspecified", header(0x21, 0x00, &more(&V4)), Told::Balancer),
            (
                "as long as may be",
                header(0x21, 0x11, &[&V4[..], &[0; 4084]].concat()),
                told("192.0.2.7:8080"),
            ),
        ] {
            let bytes = [bytes.as_slice(), &[22, 3, 1]].concat();
            let mut stream = bytes.as_slice();
            assert_eq!(take(&mut stream).await.unwrap(), expected, "{what}");
            assert_eq!(stream, [22, 3, 1], "{what}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_told_so() {
        let cut = |bytes: Vec<u8>| bytes.split_at(bytes.len() - 1).0.to_vec();
        for (bytes, word) in [
            (Vec::new(), "before a byte"),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 8443\r\n".to_vec(), "version 2"),
            (vec![22, 3, 1, 2, 0], "version 2"),
            ([&SIGNATURE[..11], &[0; 5]].concat(), "version 2"),
            (header(0x11, 0x11, &V4), "version 1"),
            (header(0x22, 0x11, &V4), "command 2"),
            (header(0x21, 0x12, &V4), "0x12"),
            (header(0x21, 0x31, &[0; 216]), "0x31"),
            (header(0x21, 0x11, &V4[..11]), "too few"),
            (header(0x21, 0x21, &V4), "too few"),
            (header(0x21, 0x11, &[0; 4097]), "at most 4096"),
            (cut(header(0x21, 0x11, &V4)), "broke off"),
            (SIGNATURE.to_vec(), "broke off"),
        ] {
            let error = take(&mut bytes.as_slice()).await.unwrap_err().to_string();
            assert!(error.contains(word), "{error} lacks {word}");
        }
    }

    #[test]
    fn a_header_that_is_too_short_takes_nothing_of_what_comes_behind_it() {
        let bytes = header(0x21, 0x11, &V4[..4]);
        let head = Head::read(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(head.finish(&V4), Err(ProxyError::TooShort(4)));
    }

    #[test]
    fn a_balancer_is_one_in_either_form_of_its_address() {
        let balancers = Balancers::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for (address, so) in [
            ("10.9.9.9", true),
            ("::ffff:10.9.9.9", true),
            ("fd12::1", true),
            ("11.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(balancers.contains(address.parse().unwrap()), so, "{address}");
            assert!(!Balancers::default().contains(address.parse().unwrap()));
        }
    }
}
