//! Drives of other nodes over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests tell a failure by panicking"
)]

mod conformance;
mod faults;
mod guard;
mod hand_over;
mod load;
mod secrecy;
mod support;
