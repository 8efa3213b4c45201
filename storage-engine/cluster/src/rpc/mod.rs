//! Drives of other nodes, over HTTP/2.
//!
//! * [`serve`] lets other nodes use the drives of this one; a [`Peer`] watches one other node and gives its drives as
//!   [`RemoteDrive`]s.
//! * Every request is a `POST` to the path of its operation. Its body is a small control message (postcard, with the
//!   version of the protocol in front) and, for writes, the bytes as they are. An answer to a read is the bytes as they are.
//! * Requests and answers are authenticated by keys derived from the secret of the cluster; see [`ClusterSecret`]. An answer
//!   is bound to its request, a request to the life of the process that it is meant for, and no request is taken twice.
//! * A node that appends has a handle of the shard, which it got by creating the shard, which is its own, and which dies
//!   with the process that serves it. Appends of one lane of a drive are sent in order, all that wait as one request, so
//!   that the drive flushes them together; the next group forms meanwhile.
//! * What one node hands to the packer of another ([`Peer::hand_over`], [`TakesOver`]) is pieces of bytes in one request, and
//!   bytes that come back when it is done. Whether it was taken is known, or the error says that it is not.
//! * What is waited for is progress, not the end: a connection, a frame, a heartbeat.
//! * TLS ([`Tls`]) is mutual. It comes in addition to the secret, or in its place ([`Tls::authority_secret`]).

mod auth;
mod client;
mod error;
mod limits;
mod replay;
mod secret;
mod server;
mod tls;
mod wire;
mod wire_error;

pub use client::{HandOverError, Peer, PeerOptions, PeerState, RemoteDrive, Timing};
pub use error::RpcError;
pub use limits::{
    APPEND_LENGTH_BYTES_MAX, HAND_OVER_LENGTH_BYTES_MAX, HAND_OVER_PIECES_MAX, READ_LENGTH_BYTES_MAX,
};
pub use secret::{ClusterSecret, SECRET_LENGTH_BYTES_MIN};
/// For fuzz targets only.
#[cfg(any(test, fuzzing))]
pub use server::fuzzing;
pub use server::{LocalDrives, NotTaken, RpcServerOptions, TakesOver, serve};
pub use tls::Tls;
