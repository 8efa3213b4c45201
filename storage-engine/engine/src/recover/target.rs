//! Where the new metadata goes.

use std::collections::HashSet;

use granary_drive::Drive;
use granary_metadata::moving::{Export as _, Import, Table};
use granary_metadata::postgres::{Consistency, PostgresCopy};
use granary_metadata::sqlite::SqliteImport;
use granary_types::UnixMillis;

use super::drives::OpenDrives;
use super::{Existing, io};
use crate::error::{EngineError, Result};
use crate::moving::MetadataPlace;
use crate::start::{blocking, homes};

/// What the names of databases, snapshots and logs begin with; and what is in that of an unfinished import.
const METADATA_FILES: [&str; 3] = ["granary.sqlite", "snapshot", "log"];
const UNFINISHED: &str = ".import";

/// The metadata to be filled.
pub(super) enum Target {
    /// On the drives; opened last of all if something has to be moved aside for it.
    Embedded(Option<SqliteImport>),
    Postgres(PostgresCopy),
}

/// Opens the target; refuses one that is in use, before anything takes its time.
pub(super) async fn open(place: &MetadataPlace, opened: &OpenDrives, existing: Existing) -> Result<Target> {
    match place {
        MetadataPlace::Embedded(data) => {
            check_same(data, opened)?;
            let is_there = holds_metadata(opened)?;
            if existing == Existing::MovedAside && is_there {
                return Ok(Target::Embedded(None));
            }
            let homes = homes(&opened.drives);
            let import = blocking(move || Ok(SqliteImport::open(homes)?)).await;
            Ok(Target::Embedded(Some(import?)))
        }
        MetadataPlace::Postgres(options) => {
            let copy = PostgresCopy::new((**options).clone(), Consistency::Quiet)?;
            let is_begun = copy.state().await?.is_some_and(|state| !state.complete);
            // A database without tables has no drives either.
            if !is_begun && copy.count(Table::Drives).await.is_ok_and(|drives| drives > 0) {
                return Err(EngineError::Layout(
                    "the database holds the metadata of a store already; give an empty database".to_owned(),
                ));
            }
            Ok(Target::Postgres(copy))
        }
    }
}

impl Target {
    /// What is filled. Metadata that is still on the drives is moved aside now.
    pub(super) async fn import(&mut self, opened: &OpenDrives, existing: Existing) -> Result<&dyn Import> {
        match self {
            Self::Embedded(import) => {
                if import.is_none() && existing == Existing::MovedAside {
                    move_aside(opened)?;
                    let homes = homes(&opened.drives);
                    *import = Some(blocking(move || Ok(SqliteImport::open(homes)?)).await?);
                }
                let import = import.as_ref().ok_or(EngineError::Internal("the target is not open"))?;
                Ok(import)
            }
            Self::Postgres(copy) => Ok(copy),
        }
    }
}

/// Embedded metadata is that of one machine with exactly these drives.
fn check_same(data: &[std::path::PathBuf], opened: &OpenDrives) -> Result<()> {
    let real = |path: &std::path::PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let given: HashSet<_> = data.iter().map(real).collect();
    let is_home = |drive: &std::sync::Arc<Drive>| given.contains(&real(&drive.directory().to_owned()));
    if opened.drives.iter().all(is_home) && opened.nodes == 1 {
        return Ok(());
    }
    Err(EngineError::Layout(
        "the metadata of several nodes is kept in a database: give --to postgres://…, or the drives of one machine"
            .to_owned(),
    ))
}

/// Whether there is anything that metadata could be read from.
fn holds_metadata(opened: &OpenDrives) -> Result<bool> {
    for drive in &opened.drives {
        let entries = std::fs::read_dir(drive.meta_directory()).map_err(io("looking for metadata"))?;
        for entry in entries {
            let name = entry.map_err(io("looking for metadata"))?.file_name();
            let name = name.to_string_lossy().into_owned();
            let is_copy = METADATA_FILES.iter().any(|prefix| name.starts_with(prefix));
            if is_copy && !name.contains(UNFINISHED) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn move_aside(opened: &OpenDrives) -> Result<()> {
    let at = UnixMillis::now().0;
    for drive in &opened.drives {
        let directory = drive.meta_directory();
        let aside = drive.directory().join(format!("meta.aside-{at}"));
        std::fs::rename(&directory, &aside).map_err(io("moving the metadata aside"))?;
        std::fs::create_dir(&directory).map_err(io("making the folder of the metadata"))?;
        let parent = std::fs::File::open(drive.directory()).and_then(|parent| parent.sync_all());
        parent.map_err(io("making the folder of the metadata"))?;
        tracing::warn!(to = %aside.display(), "metadata was moved aside");
    }
    Ok(())
}
