//! What the benchmark and the whole-system tests share: a small SigV4 signer with nothing hidden in
//! it, so that the tests can also sign wrongly on purpose, and seeded content.

pub mod content;
pub mod signer;
