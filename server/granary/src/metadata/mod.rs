//! `granary metadata`: work on the whole metadata of a store, most of it of one that is not running.

mod backup;
mod copy;
pub mod migrate;
mod place;
mod progress;
pub mod recover;
mod recover_shown;

use anyhow::Result;
use clap::Subcommand;

use crate::operate::{LossesArgs, losses};
use crate::output::OutputFormat;

/// What to do with the metadata.
#[derive(Debug, Subcommand)]
pub enum MetadataCommand {
    /// Move the metadata of a store to another place: from its drives to a database, or back.
    ///
    /// The store must not run. Everything is copied, compared, and then the old place is marked so that it is not served
    /// again by mistake. The same command goes on where it was cut off.
    Copy(copy::CopyArgs),
    /// Back up the metadata to a file: of a database while it is used, of drives while no server runs on them.
    ///
    /// The nodes back the metadata up to the drives of the store every few hours, erasure-coded over all.
    Backup(backup::BackupArgs),
    /// List the backups on the drives of a store.
    Backups(backup::ListArgs),
    /// Restore a backup into an empty database, or into drives whose metadata is gone.
    Restore(backup::RestoreArgs),
    /// Show what was answered to clients and lost when the database failed over to an asynchronous standby.
    ///
    /// Asks a running server. What could be committed again is not shown.
    Losses(LossesArgs),
}

/// Runs a command.
///
/// # Errors
/// What the command says.
pub async fn run(command: &MetadataCommand, format: OutputFormat) -> Result<()> {
    match command {
        MetadataCommand::Copy(args) => copy::run(args, format).await,
        MetadataCommand::Backup(args) => backup::run(args, format).await,
        MetadataCommand::Backups(args) => backup::list(args, format).await,
        MetadataCommand::Restore(args) => backup::restore(args, format).await,
        MetadataCommand::Losses(args) => losses(args, format).await,
    }
}
