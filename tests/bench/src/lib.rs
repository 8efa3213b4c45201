//! What the benchmark and the whole-system tests share: a small SigV4 signer with nothing hidden in
//! it, so that the tests can also sign wrongly on purpose, and seeded content, a throwaway Postgres, and slow disks.
//! And the load generator of `cargo xtask bench`.

pub mod cluster;
pub mod content;
pub mod disks;
pub mod driver;
pub mod fast;
pub mod faults;
pub mod kinds;
pub mod machine;
pub mod mount;
pub mod ports;
pub mod postgres;
pub mod prefetch;
pub mod records;
pub mod report;
pub mod scenarios;
pub mod signer;
pub mod syscalls;
pub mod target;
pub mod throttle;
pub mod tiers;
