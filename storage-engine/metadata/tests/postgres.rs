//! The store in Postgres, against real clusters. One program: each that links the store has its asynchronous functions
//! compiled anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;
mod moving;
mod pg;
mod postgres_conformance;
mod postgres_fail_over;
mod postgres_faults;
mod postgres_foreseen;
mod postgres_nodes;
