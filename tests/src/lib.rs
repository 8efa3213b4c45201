//! The harness of the whole-system tests: it starts the real binary on a free port with drive
//! directories of its own, talks to it with the AWS SDK and with raw sockets, kills it, and harms its
//! drives. Nothing here links the product: the tests know only what a user or an operator can see.

use std::time::Duration;

pub mod census;
pub mod client;
pub mod cluster;
pub mod frozen;
mod ledger;
pub mod load;
pub mod network;
pub mod raw;
pub mod register;
pub mod scenes;
pub mod server;
pub mod sound;
pub mod tiers;
pub mod tls;

pub use granary_bench::content;
pub use granary_bench::mount;
pub use granary_bench::postgres;
pub use granary_bench::signer;
pub use granary_bench::throttle;
pub use server::{Server, ServerConfig};

/// How long a test waits for what has to happen by itself. A loaded machine takes its time, and nothing is concluded from that.
pub const PATIENCE: Duration = Duration::from_mins(3);
