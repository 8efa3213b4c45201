//! Small files that hold secrets: of mode 0600 from their first byte on, and written whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use granary_types::crash_point;

/// Reads a file of at most `max_bytes`; `None` when there is none, or no such directory.
///
/// # Errors
/// A file that others can read, that is longer, or that cannot be read.
pub fn read(path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
    };
    let mode = file.metadata().with_context(|| path.display().to_string())?.permissions().mode() & 0o777;
    ensure!(mode & 0o077 == 0, "{} is open to other users (mode {mode:o}): set it to 600", path.display());
    let mut content = Vec::new();
    file.take(max_bytes + 1)
        .read_to_end(&mut content)
        .with_context(|| format!("reading {}", path.display()))?;
    ensure!(content.len() as u64 <= max_bytes, "{} is too long", path.display());
    Ok(Some(content))
}

/// Writes a file in place of an earlier one; on return it is durable.
///
/// # Errors
/// Whatever keeps it from being written; then the earlier one, if any, is still there.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let write = || -> io::Result<()> {
        // A leftover of a crash may have any mode; a new file has ours from its first byte on.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        crash_point("secret_file.before_rename");
        std::fs::rename(&temporary, path)?;
        crash_point("secret_file.after_rename");
        File::open(directory)?.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}
