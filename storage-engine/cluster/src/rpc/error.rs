//! What can go wrong while a server or a client is made.

use std::io;

/// A server or a client cannot be made, or a server cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The secret is missing or too short to be one.
    #[error("the cluster's secret has {length_bytes} bytes; it must have at least {min_bytes}")]
    Secret {
        /// What it has.
        length_bytes: usize,
        /// What it needs.
        min_bytes: usize,
    },
    /// The operating system refused.
    #[error("{context}")]
    Io {
        /// What was being done.
        context: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("{context}")]
    Tls {
        /// Which.
        context: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
