//! The file that keeps generated root credentials on a drive.

use std::path::Path;

use anyhow::{Context, Result};
use granary_auth::Credentials;
use serde::{Deserialize, Serialize};

use crate::secret_file;

/// The file's name in a drive's directory. It does not make a directory a drive: that is `granary.json`.
pub const FILE_NAME: &str = ".granary-root-credentials";

/// A real file has about 120 bytes.
const MAX_BYTES: u64 = 4096;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    access_key: String,
    secret_key: String,
}

/// What a drive's file is.
pub(super) enum Found {
    /// There is none, or no such drive.
    Nothing,
    /// It cannot be understood; it may be written anew from another copy.
    Damaged,
    /// It holds these.
    Kept(Credentials),
}

/// Reads the file of `drive`.
pub(super) fn read(drive: &Path) -> Result<Found> {
    let Some(text) = secret_file::read(&drive.join(FILE_NAME), MAX_BYTES)? else { return Ok(Found::Nothing) };
    Ok(match serde_json::from_slice::<Kept>(&text) {
        Ok(kept) => Found::Kept(Credentials::new(kept.access_key, kept.secret_key)),
        // The parser's message could quote the content, so it is left out.
        Err(_) => Found::Damaged,
    })
}

/// Writes the file of `drive` unless it holds `credentials`; on return it is durable.
pub(super) fn write_unless_kept(drive: &Path, credentials: &Credentials) -> Result<()> {
    if matches!(read(drive)?, Found::Kept(kept) if kept == *credentials) {
        return Ok(());
    }
    let kept = Kept {
        access_key: credentials.access_key.clone(),
        secret_key: credentials.secret_key.expose().to_owned(),
    };
    let text = serde_json::to_vec(&kept).context("encoding the credentials")?;
    secret_file::write(&drive.join(FILE_NAME), &text)
}
