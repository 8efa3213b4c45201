//! Tests of the engine over drives in a directory. One program: each that links the engine has its asynchronous functions
//! compiled anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;
mod copies;
mod encryption;
mod losses;
mod reading;
mod store;
mod tiers;
mod warm;
