//! The file that keeps generated root credentials on a drive.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use granary_auth::Credentials;
use serde::{Deserialize, Serialize};

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
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
    };
    let mode = file.metadata().with_context(|| path.display().to_string())?.permissions().mode() & 0o777;
    ensure!(mode & 0o077 == 0, "{} is open to other users (mode {mode:o}): set it to 600", path.display());
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).with_context(|| format!("reading {}", path.display()))?;
    // The parser's message could quote the content, so it is left out.
    let kept: Kept =
        serde_json::from_str(&text).map_err(|_| anyhow::anyhow!("{} is damaged", path.display()))?;
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
    let temporary = drive.join(format!("{FILE_NAME}.new"));
    let write = || -> io::Result<()> {
        // A leftover of a crash may have any mode; a new file has ours from its first byte on.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(drive)?.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}
