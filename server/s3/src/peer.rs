//! Who is at the other end of a connection.

use std::net::IpAddr;

use http::request::Parts;

/// The other end of a connection, which the accept loop adds to the extensions of each request. Whatever a proxy or a
/// client says in headers is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The version of TLS, such as `1.3`; `None` without TLS.
    pub tls_version: Option<&'static str>,
}

/// The scheme that a request came by: what the connection knows, whatever the request's target says.
pub(crate) fn scheme(parts: &Parts) -> &'static str {
    match parts.extensions.get::<Peer>() {
        Some(Peer { tls_version: Some(_), .. }) => "https",
        _ => "http",
    }
}
