//! Who may use the store: accounts, users, groups, roles, their keys and policies, and temporary credentials.
//!
//! [`IdentityStore`] holds all of it in memory, as documents that the metadata keeps. It is where the signatures'
//! verifier finds secrets, and what the operator's commands and the IAM and STS APIs change.
//!
//! A change is decided from one state of everything and stored only if that is still the state, so that rules over
//! several documents hold without locks. The node that changes something sees it at once; others ask every
//! [`POLL_INTERVAL`].

// The fuzz target's code, which tests run as well, names the crate as others do.
#[cfg(test)]
extern crate self as granary_iam;

pub mod api;
mod aws_managed;
mod documents;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod jwt;
mod manage;
mod marks;
mod marks_of_claims;
mod names;
mod principals;
mod quotas;
mod resolve;
#[cfg(test)]
mod sample;
mod state;
mod store;
mod tags;
mod token;
mod usage;
mod vault;
mod web_identity;

pub use documents::{AccountQuota, KeyStatus};
pub use error::{Code, IamError, Result};
pub use manage::{AccountDetails, NewKey, NewUser, UserName, UserView};
pub use store::{IdentityStore, POLL_INTERVAL, Root};
pub use usage::KEEP_INTERVAL;
pub use web_identity::IssuerDocuments;
