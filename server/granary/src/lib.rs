//! The `granary` program: its command line, its configuration, and the shell around the store.
//!
//! * [`cli`] is the command line; each command is a module of its own.
//! * [`config`] gathers the settings of `serve` from the command line, the environment and a file.
//! * [`credentials`] finds or makes the root credentials, [`keyring`] the keys that objects are encrypted under.
//! * [`serve`] accepts connections, and carries requests to the S3 protocol, the admin API and the health pages.
//! * [`metadata`] holds the commands that move a store's whole metadata.
//! * [`operate`] holds the commands that talk to a running server through its admin API.
//! * [`plan`] works out what checkpoints need of a store.
//! * [`telemetry`] sets up logs and metrics.
//!
//! It is a library so that its parts can be tested without starting processes.

pub mod cli;
pub mod config;
pub mod credentials;
pub mod keyring;
pub mod metadata;
pub mod notify;
pub mod operate;
mod outbound;
pub mod output;
pub mod plan;
pub mod secret_file;
pub mod serve;
pub mod telemetry;
