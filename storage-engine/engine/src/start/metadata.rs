//! Opening the metadata, and checking that it is the metadata of these drives.

use std::collections::HashSet;
use std::sync::Arc;

use granary_drive::Drive;
use granary_metadata::postgres::{PostgresOptions, PostgresStore};
use granary_metadata::sqlite::{EmbeddedOptions, Existing, Home, SqliteStore};
use granary_metadata::{DriveRow, DriveState, FailOvers, MetadataStore};
use granary_types::DriveId;

use super::{Opened, blocking, class_of};
use crate::error::{EngineError, Result};
use crate::options::{EngineOptions, MetadataChoice};

/// The metadata, opened.
pub(crate) struct Metadata {
    pub store: Arc<dyn MetadataStore>,
    /// The same store where it is the embedded one.
    pub embedded: Option<Arc<SqliteStore>>,
    /// What it lost when it failed over, where that is possible.
    pub fail_overs: Option<Arc<dyn FailOvers>>,
}

/// Opens the metadata of these drives.
///
/// # Errors
/// When it cannot be opened, or is that of other drives.
pub(crate) async fn open_metadata(options: &EngineOptions, opened: &Opened) -> Result<Metadata> {
    match &options.metadata {
        MetadataChoice::Embedded => {
            let mut drives = opened.drives.clone();
            // The database and its copies belong on SSDs, as far as there are some.
            drives.sort_by_key(|drive| class_of(options, drive.directory()));
            let homes = homes(&drives);
            let existing = if opened.fresh { Existing::MayBeNew } else { Existing::Expected };
            let options = EmbeddedOptions::new(homes, opened.profile.parity(), existing);
            let embedded = Arc::new(blocking(move || Ok(SqliteStore::open(options)?)).await?);
            Ok(Metadata { store: embedded.clone(), embedded: Some(embedded), fail_overs: None })
        }
        MetadataChoice::Postgres(options) => {
            let store = open_postgres(options, opened).await?;
            let fail_overs = Some(store.fail_overs());
            Ok(Metadata { store: Arc::new(store), embedded: None, fail_overs })
        }
    }
}

/// Where the embedded metadata of these drives is kept.
pub(crate) fn homes(drives: &[Arc<Drive>]) -> Vec<Home> {
    drives.iter().map(|d| Home { drive: d.id(), dir: d.meta_directory() }).collect()
}

async fn open_postgres(options: &PostgresOptions, opened: &Opened) -> Result<PostgresStore> {
    let store = PostgresStore::open(options.clone()).await?;
    check_drives(&store.drives().await?, &opened.members, opened.fresh)?;
    Ok(store)
}

/// Refuses a database that does not belong to these drives, `ours` by their slots: data that it does not know would count
/// as nobody's.
fn check_drives(known: &[DriveRow], ours: &[DriveId], fresh: bool) -> Result<()> {
    // A process that died while it replaced a drive told the drives of the new one and not yet the database.
    let is_new = |id: &DriveId| !known.iter().any(|row| row.id == *id);
    let replaced: HashSet<u16> =
        (0_u16..).zip(ours).filter(|(_, id)| is_new(id)).map(|(slot, _)| slot).collect();
    let active = known.iter().filter(|row| row.state == DriveState::Active);
    let (mine, theirs): (Vec<&DriveRow>, Vec<&DriveRow>) = active.partition(|row| ours.contains(&row.id));
    let is_other = |row: &&&DriveRow| mine.is_empty() || !replaced.contains(&row.slot);
    let (mine, others) = (mine.len(), theirs.iter().filter(is_other).count());
    match (fresh, mine, others) {
        (true, 0, 0) => Ok(()),
        (_, 0, 0) => Err(EngineError::Layout(
            "the database is empty and the drives hold a store: is this the right database? The metadata of a store that \
             was kept on its drives is moved to a database with `granary metadata copy`"
                .to_owned(),
        )),
        (_, _, 0) => Ok(()),
        _ => Err(EngineError::Layout(format!(
            "the database knows {others} drives that are not given here: it belongs to another store, or to one of several \
             nodes, which needs --node-listen"
        ))),
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
