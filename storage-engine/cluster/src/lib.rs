//! The drives of a store and what is decided about them: which code a store uses, which drives a new volume goes to
//! (pure decisions, no I/O), and how a drive is reached, on this machine ([`access`]) or another ([`rpc`]).

// The fuzz targets' code, which tests run as well, names the crate as others do.
#[cfg(test)]
extern crate self as granary_cluster;

pub mod access;
#[cfg(feature = "conformance")]
pub mod conformance;
mod placement;
mod profile;
pub mod rpc;

pub use placement::{Candidate, Site, place};
pub use profile::{Redundancy, archive_for_drives, degraded, for_drives};
