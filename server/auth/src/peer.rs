//! Who is at the other end of a connection.

use std::net::IpAddr;

/// The other end of a connection, which the accept loop adds to the extensions of each request. Whatever a proxy or a
/// client says in headers is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The version of TLS, such as `1.3`; `None` without TLS.
    pub tls_version: Option<&'static str>,
}
