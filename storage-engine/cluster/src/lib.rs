//! Which code a store uses and which drives a new volume goes to. Pure decisions; no I/O.

mod placement;
mod profile;

pub use placement::{Candidate, place};
pub use profile::{Redundancy, degraded, for_drives};
