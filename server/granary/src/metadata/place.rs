//! Places of metadata, as written on the command line.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use granary_engine::PostgresOptions;
use granary_engine::moving::MetadataPlace;

use crate::config::{MetadataSetting, expand_data};

/// The database file within a drive's directory.
const DATABASE: &str = "meta/granary.sqlite";

/// A place, and how it is shown to people.
pub(super) struct Place {
    pub(super) place: MetadataPlace,
    pub(super) shown: String,
}

/// Reads `sqlite:` with the directories of all drives (ranges and commas as for `--data`), or `postgres://…`. Errors do
/// not quote the text, which may hold a password.
pub(super) fn parse(text: &str) -> Result<Place> {
    if let Some(paths) = text.strip_prefix("sqlite:") {
        let patterns: Vec<String> = paths.split(',').map(str::to_owned).collect();
        let drives = expand_data(&patterns)?.into_iter().map(drive_of).collect();
        return Ok(Place { place: MetadataPlace::Embedded(drives), shown: text.to_owned() });
    }
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        bail!("a place is sqlite:DIRECTORY (of every drive: sqlite:/mnt/d{{1...6}}) or postgres://…");
    }
    let setting: MetadataSetting = text.parse().map_err(|error: String| anyhow!(error))?;
    let options = PostgresOptions::new(text)?;
    Ok(Place { place: MetadataPlace::Postgres(Box::new(options)), shown: setting.to_string() })
}

/// The drive a path means: its directory, or the database in it.
fn drive_of(path: PathBuf) -> PathBuf {
    if !path.ends_with(DATABASE) {
        return path;
    }
    path.parent().and_then(Path::parent).map_or_else(|| path.clone(), Path::to_owned)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
