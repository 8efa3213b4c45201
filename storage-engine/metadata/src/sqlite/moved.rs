//! The mark on metadata that is served from elsewhere now.
//!
//! It is a file in every home, so that it lasts as long as the copies do. Without it, a start that forgot the new place
//! would serve the old state, and what is written then would be lost with it, or worse, freed.

use std::io;

use super::options::Home;
use super::survive::{MOVED, write_durably};
use crate::error::{MetadataError, Result};

/// Marks the metadata in these homes as moved to `to`, which is shown to people: no password. The store must be closed.
///
/// # Errors
/// [`MetadataError::Io`] if it cannot be marked in one of the homes.
pub fn mark_moved(homes: &[Home], to: &str) -> Result<()> {
    for home in homes {
        let temporary = format!("{MOVED}.new");
        write_durably(&home.dir, &temporary, MOVED, to.as_bytes()).map_err(|source| MetadataError::Io {
            context: format!("marking {} as moved", home.dir.display()),
            source,
        })?;
    }
    Ok(())
}

/// Where the metadata of these homes was moved to, if it was.
#[must_use]
pub fn moved(homes: &[Home]) -> Option<String> {
    homes.iter().find_map(|home| match std::fs::read(home.dir.join(MOVED)) {
        Ok(to) => Some(String::from_utf8_lossy(&to).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("a place that cannot be read ({error})")),
    })
}
