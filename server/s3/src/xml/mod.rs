//! The XML of requests and responses.
//!
//! Responses are written by hand into one buffer ([`XmlWriter`]), because a page of 1,000 keys is written for
//! every listing. Requests are read into a small tree ([`read::parse`]) with limits on size, depth and count,
//! and then checked against the schema of their operation ([`requests`]).

pub mod read;
pub mod requests;
mod restore;
mod write;

pub use restore::{RestoreRequest, RetrievalTier, parse_restore};
pub use write::{NAMESPACE, XmlWriter, is_sayable};
