//! What the connection of a request tells.

use granary_auth::Peer;
use http::request::Parts;

/// The scheme that a request came by: what the connection knows, whatever the request's target says.
pub(crate) fn scheme(parts: &Parts) -> &'static str {
    match parts.extensions.get::<Peer>() {
        Some(Peer { tls_version: Some(_), .. }) => "https",
        _ => "http",
    }
}
