//! What the benchmark and the whole-system tests share: a small SigV4 signer with nothing hidden in
//! it, so that the tests can also sign wrongly on purpose, and seeded content. And the load generator
//! of `cargo xtask bench`.

pub mod content;
pub mod driver;
pub mod fast;
pub mod machine;
pub mod report;
pub mod scenarios;
pub mod signer;
pub mod syscalls;
pub mod target;
