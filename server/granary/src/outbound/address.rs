//! Which addresses this server may connect to where others name them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Addresses of the public internet only.
    Public,
    /// Those of this machine and of private networks too.
    Anywhere,
}

impl Reach {
    /// Whether it may be connected to.
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        let is_someone = match address.to_canonical() {
            IpAddr::V4(v4) => !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()),
            IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast()),
        };
        is_someone && (self == Self::Anywhere || is_public(address))
    }
}

/// Whether an address is one of the public internet.
/// Sources: the registries of special-purpose addresses, <https://www.iana.org/assignments/iana-ipv4-special-registry>,
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private networks, loopback, multicast, reserved.
        (0 | 10 | 127 | 224..=255, ..) => true,
        // Shared by providers.
        (100, 64..=127, _) => true,
        // Link-local, where clouds keep their metadata services.
        (169, 254, _) => true,
        (172, 16..=31, _) | (192, 168, _) => true,
        // Protocol assignments, documentation, relays, benchmarks.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, .., seventh, eighth] = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (first, second) {
        // IPv4 by way of a translator (of a network's own prefix too) or of a tunnel: what counts is where that ends.
        (0x0064, 0xff9b) => {
            embedded(seventh, eighth)
                && address.segments().get(2..6).is_some_and(|middle| middle.iter().all(|part| *part == 0))
        }
        (0x2002, _) => {
            let [_, high, low, ..] = address.segments();
            embedded(high, low)
        }
        // Teredo, benchmarks, documentation, and other assignments of protocols.
        (0x2001, 0x0000..=0x01ff | 0x0db8) | (0x3fff, 0x0000..=0x0fff) => false,
        // Only these are given out as global addresses: not loopback, unique-local, link-local, site-local, multicast.
        _ => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
