//! Which drive of which store a directory is.
//!
//! Every drive names all drives of its store, so any one of them tells whether the set is complete. The file
//! is written once, flushed with its directory, and replaced only when the membership changes.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

use granary_types::{ClusterId, DriveId};
use serde::{Deserialize, Serialize};

use crate::error::DriveError;

/// The name of the identity file in a drive's directory.
pub const IDENTITY_FILE: &str = "granary.json";
const LOCK_FILE: &str = "granary.lock";
const FORMAT: u32 = 1;
const IDENTITY_LENGTH_BYTES_MAX: u64 = 1024 * 1024;

/// A drive of the store and its place in the list of data directories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The drive, in hexadecimal.
    #[serde(with = "as_text")]
    pub drive: DriveId,
    /// Its place, from 0.
    pub slot: u16,
}

/// What the identity file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The on-disk format.
    pub format: u32,
    /// The store.
    #[serde(with = "as_text")]
    pub cluster: ClusterId,
    /// This drive.
    #[serde(with = "as_text")]
    pub drive: DriveId,
    /// This drive's place.
    pub slot: u16,
    /// The erasure code chosen when the store was made, `k+m`.
    pub erasure: String,
    /// Raised whenever the list of members changes; the highest is right.
    pub generation: u64,
    /// All drives of the store.
    pub members: Vec<Member>,
}

impl Identity {
    /// The identity of a drive of a new store.
    #[must_use]
    pub fn new(cluster: ClusterId, member: &Member, members: &[Member], erasure: &str) -> Self {
        Self {
            format: FORMAT,
            cluster,
            drive: member.drive,
            slot: member.slot,
            erasure: erasure.to_owned(),
            generation: 1,
            members: members.to_vec(),
        }
    }
}

/// What a data directory is.
#[derive(Debug)]
pub enum Found {
    /// It does not exist.
    Missing,
    /// It exists and holds nothing of ours or anybody's.
    Empty,
    /// It holds files but no identity: not ours to touch.
    Foreign,
    /// A drive.
    Drive(Identity),
    /// It cannot be read or its identity is damaged.
    Unreadable(DriveError),
}

/// Looks at a directory and changes nothing.
#[must_use]
pub fn inspect(directory: &Path) -> Found {
    match read_identity(directory) {
        Ok(Some(identity)) => Found::Drive(identity),
        Ok(None) => match is_empty(directory) {
            Ok(Some(true)) => Found::Empty,
            Ok(Some(false)) => Found::Foreign,
            Ok(None) => Found::Missing,
            Err(error) => Found::Unreadable(error),
        },
        Err(error) => Found::Unreadable(error),
    }
}

fn is_empty(directory: &Path) -> Result<Option<bool>, DriveError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DriveError::io("listing", directory, error)),
    };
    for entry in entries {
        let name = entry.map_err(|e| DriveError::io("listing", directory, e))?.file_name();
        // A fresh ext4 has this directory; hidden files at the top are other tools' or our own credentials.
        if name != "lost+found" && !name.to_string_lossy().starts_with('.') && name != LOCK_FILE {
            return Ok(Some(false));
        }
    }
    Ok(Some(true))
}

fn read_identity(directory: &Path) -> Result<Option<Identity>, DriveError> {
    let path = directory.join(IDENTITY_FILE);
    let bad = |reason: String| DriveError::Identity { path: directory.to_owned(), reason };
    let length_bytes = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DriveError::io("reading", &path, error)),
    };
    if length_bytes > IDENTITY_LENGTH_BYTES_MAX {
        return Err(bad(format!("{IDENTITY_FILE} has {length_bytes} bytes")));
    }
    let text = fs::read(&path).map_err(|e| DriveError::io("reading", &path, e))?;
    let sealed: SealedIdentity =
        serde_json::from_slice(&text).map_err(|e| bad(format!("{IDENTITY_FILE} is damaged: {e}")))?;
    if sealed.identity.format != FORMAT {
        return Err(bad(format!("drive format {} is not {FORMAT}", sealed.identity.format)));
    }
    if sealed.hash != hash_of(&sealed.identity)? {
        return Err(bad(format!("{IDENTITY_FILE} does not match its hash")));
    }
    Ok(Some(sealed.identity))
}

/// Writes the identity of a drive so that a crash leaves the old one or the new one. Creates the directory.
///
/// # Errors
/// When the file system refuses.
pub fn write_identity(directory: &Path, identity: &Identity) -> Result<(), DriveError> {
    create_durably(directory).map_err(|e| DriveError::io("creating", directory, e))?;
    let path = directory.join(IDENTITY_FILE);
    let temporary = directory.join(".granary.json.new");
    let sealed = SealedIdentity { identity: identity.clone(), hash: hash_of(identity)? };
    let text = serde_json::to_vec_pretty(&sealed)
        .map_err(|e| DriveError::Identity { path: path.clone(), reason: e.to_string() })?;
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|e| DriveError::io("writing", &path, e))
}

/// Creates a directory and its missing parents, each with its entry flushed.
fn create_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    create_durably(parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent)?.sync_all(),
    }
}

/// Locks a drive's directory against other processes until the file is dropped.
///
/// # Errors
/// When another process holds it or the file system refuses.
pub fn lock(directory: &Path) -> Result<File, DriveError> {
    let path = directory.join(LOCK_FILE);
    let file = File::create(&path).map_err(|e| DriveError::io("creating", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DriveError::Identity {
            path: directory.to_owned(),
            reason: "another granary process uses this drive".to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(DriveError::io("locking", &path, error)),
    }
}

#[derive(Serialize, Deserialize)]
struct SealedIdentity {
    identity: Identity,
    hash: String,
}

fn hash_of(identity: &Identity) -> Result<String, DriveError> {
    let text = serde_json::to_vec(identity).map_err(|_| DriveError::Records("identity"))?;
    Ok(blake3::hash(&text).to_hex().to_string())
}

mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<T: Display, S: Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
