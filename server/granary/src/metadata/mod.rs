//! `granary metadata`: work on the whole metadata of a store that is not running.

mod copy;
mod place;
mod progress;

use anyhow::Result;
use clap::Subcommand;

use crate::output::OutputFormat;

/// What to do with the metadata.
#[derive(Debug, Subcommand)]
pub enum MetadataCommand {
    /// Move the metadata of a store to another place: from its drives to a database, or back.
    ///
    /// The store must not run. Everything is copied, compared, and then the old place is marked so that it is not served
    /// again by mistake. The same command goes on where it was cut off.
    Copy(copy::CopyArgs),
}

/// Runs a command.
///
/// # Errors
/// What the command says.
pub async fn run(command: &MetadataCommand, format: OutputFormat) -> Result<()> {
    match command {
        MetadataCommand::Copy(args) => copy::run(args, format).await,
    }
}
