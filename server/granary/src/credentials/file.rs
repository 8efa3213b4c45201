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

/// Reads the file of `drive`; `None` when there is none, or no such drive.
pub(super) fn read(drive: &Path) -> Result<Option<Credentials>> {
    let path = drive.join(FILE_NAME);
    let Some(text) = secret_file::read(&path, MAX_BYTES)? else { return Ok(None) };
    // The parser's message could quote the content, so it is left out.
    let kept: Kept =
        serde_json::from_slice(&text).map_err(|_| anyhow::anyhow!("{} is damaged", path.display()))?;
    Ok(Some(Credentials::new(kept.access_key, kept.secret_key)))
}

/// Writes the file of `drive` unless it exists; on return it is durable.
pub(super) fn write_if_absent(drive: &Path, credentials: &Credentials) -> Result<()> {
    let path = drive.join(FILE_NAME);
    if path.try_exists().with_context(|| path.display().to_string())? {
        return Ok(());
    }
    let kept = Kept {
        access_key: credentials.access_key.clone(),
        secret_key: credentials.secret_key.expose().to_owned(),
    };
    let text = serde_json::to_vec(&kept).context("encoding the credentials")?;
    secret_file::write(&path, &text)
}
