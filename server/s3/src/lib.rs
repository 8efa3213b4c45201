//! The S3 protocol over the engine.
//!
//! A request passes through these steps, each a module: the host and path give an [`address`]; method, query and
//! headers give an [`operation`]; the request is authenticated, and authorised in one place (`access`); its handler (`ops`) checks everything that can be
//! checked before the body is asked for; the body flows through digests into the engine; the answer is written as
//! headers and [`xml`]. Failures are [`error::S3Error`] throughout.

// The fuzz targets' code, which tests run as well, names the crate as others do.
#[cfg(test)]
extern crate self as granary_s3;

mod access;
pub mod address;
pub mod attributes;
mod body;
pub mod checksum;
pub mod compatibility;
pub mod conditions;
mod context;
mod convert;
mod copy_body;
pub mod copy_source;
mod cors;
pub mod dates;
mod dialect;
pub mod encoding;
mod encryption;
pub mod error;
pub mod form;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod inventory;
mod lifecycle;
mod locks;
mod logs;
mod md5_pool;
mod metrics;
mod new_buckets;
pub mod notifications;
pub mod operation;
mod ops;
mod peer;
pub mod query;
pub mod range;
mod rates;
pub mod request_id;
mod respond;
mod router;
mod send;
mod state;
pub mod tags;
mod text_body;
pub mod token;
pub mod unsupported;
mod website;
pub mod xml;

pub use access::owner::account_of_owner;
pub use dialect::Dialect;
pub use encryption::CustomerKeyTransport;
pub use lifecycle::TransitionMinimum;
pub use new_buckets::{ObjectOwnership, PublicAccess};
pub use router::router;
pub use state::{Accounts, S3Config, S3State, SignatureV2, UnknownLength};
