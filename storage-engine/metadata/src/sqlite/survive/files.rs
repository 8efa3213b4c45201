//! The files of a home: their names, and writing them so that they last.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The database, in the home that serves.
pub(in crate::sqlite) const DATABASE: &str = "granary.sqlite";
/// A database being rebuilt; worthless after a crash.
pub(super) const DATABASE_NEW: &str = "granary.sqlite.new";
/// A database that was found damaged or stale, kept for a look; the next one replaces it.
const DATABASE_ASIDE: &str = "granary.sqlite.aside";
/// A database being filled by a copy from elsewhere; nothing opens it before it is whole.
pub(in crate::sqlite) const IMPORT: &str = "granary.sqlite.import";
/// Tells that the metadata was moved, and to where.
pub(in crate::sqlite) const MOVED: &str = "moved";
/// Where a copy that takes the place of moved metadata puts what lay there.
const REPLACED: &str = "replaced";
/// Held while a process uses the home.
const LOCK: &str = "lock";
/// A snapshot being written; worthless after a crash.
pub(super) const SNAPSHOT_NEW: &str = "snapshot.new";
/// Its seal being written.
pub(super) const SEAL_NEW: &str = "snapshot.seal.new";

/// The next segment of a log, prepared with zeros; it has no name of its own yet and holds nothing.
pub(super) const SPARE: &str = "log.spare";

/// A snapshot's place in the order of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) generation: u64,
    pub(super) seq: u64,
}

pub(super) fn snapshot_name(stamp: Stamp) -> String {
    format!("snapshot-{:020}-{:020}.sqlite", stamp.generation, stamp.seq)
}

pub(super) fn seal_name(stamp: Stamp) -> String {
    format!("snapshot-{:020}-{:020}.seal", stamp.generation, stamp.seq)
}

/// The name of the segment whose first record is `seq`.
pub(super) fn segment_name(stamp: Stamp) -> String {
    format!("log-{:020}-{:020}.log", stamp.generation, stamp.seq)
}

fn parse(name: &str, kind: &str, suffix: &str) -> Option<Stamp> {
    let (generation, seq) = name.strip_prefix(kind)?.strip_suffix(suffix)?.split_once('-')?;
    Some(Stamp { generation: generation.parse().ok()?, seq: seq.parse().ok()? })
}

/// What of the survival's files lies in a directory, in order.
#[derive(Debug, Default)]
pub(in crate::sqlite) struct Listing {
    /// Stamps of snapshots by their seals.
    pub(super) seals: Vec<Stamp>,
    pub(super) segments: Vec<Stamp>,
    pub(super) database: bool,
}

impl Listing {
    /// Lists a home.
    pub(in crate::sqlite) fn read(dir: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            listing.seals.extend(parse(name, "snapshot-", ".seal"));
            listing.segments.extend(parse(name, "log-", ".log"));
            listing.database |= name == DATABASE;
        }
        listing.seals.sort_unstable();
        listing.segments.sort_unstable();
        Ok(listing)
    }

    /// Whether the home holds nothing of any metadata.
    pub(in crate::sqlite) fn is_empty(&self) -> bool {
        !self.database && self.seals.is_empty() && self.segments.is_empty()
    }
}

/// Makes the names in a directory durable.
pub(in crate::sqlite) fn sync_dir(dir: &Path) -> io::Result<()> {
    sync_all(&File::open(dir)?)
}

/// Makes a file durable.
pub(in crate::sqlite) fn sync_all(file: &File) -> io::Result<()> {
    count_flush();
    file.sync_all()
}

/// Makes what a file holds durable.
pub(in crate::sqlite) fn sync_data(file: &File) -> io::Result<()> {
    count_flush();
    file.sync_data()
}

/// Counts a flush of the metadata's files beside those of shards. What SQLite does between its commits, when it copies its log
/// into the database, is not seen.
pub(in crate::sqlite) fn count_flush() {
    metrics::counter!("granary_flushes_total", "of" => "metadata").increment(1);
}

/// Writes a file whole under `temporary`, flushes it and gives it its name.
pub(in crate::sqlite) fn write_durably(
    dir: &Path,
    temporary: &str,
    name: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let path = dir.join(temporary);
    let mut file = File::create(&path)?;
    file.write_all(bytes)?;
    sync_all(&file)?;
    std::fs::rename(path, dir.join(name))?;
    sync_dir(dir)
}

/// Removes a file that may be gone already.
pub(in crate::sqlite) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the segments that begin before `first` and the snapshots older than `snapshot`.
pub(super) fn cut(dir: &Path, snapshot: Option<Stamp>, first: Option<Stamp>) -> io::Result<()> {
    let listing = Listing::read(dir)?;
    for old in listing.segments.iter().filter(|old| first.is_none_or(|first| **old < first)) {
        remove(&dir.join(segment_name(*old)))?;
    }
    for old in listing.seals.iter().filter(|old| snapshot.is_none_or(|snapshot| **old < snapshot)) {
        // The seal goes first: a snapshot without one is nothing.
        remove(&dir.join(seal_name(*old)))?;
        remove(&dir.join(snapshot_name(*old)))?;
    }
    sync_dir(dir)
}

/// The names SQLite gives the database and its write-ahead log.
pub(in crate::sqlite) fn wal(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Puts a database that must not be used any more aside, with its write-ahead log.
pub(super) fn set_aside(dir: &Path) -> io::Result<()> {
    let (database, aside) = (dir.join(DATABASE), dir.join(DATABASE_ASIDE));
    for (from, to) in [(database.clone(), aside.clone()), (wal(&database), wal(&aside))] {
        remove(&to)?;
        match std::fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_dir(dir)
}

/// Puts everything of a home aside that is of the metadata it held, but for what a copy needs.
pub(in crate::sqlite) fn replace_all(dir: &Path) -> io::Result<()> {
    let aside = dir.join(REPLACED);
    let import = wal(Path::new(IMPORT));
    std::fs::create_dir_all(&aside)?;
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let kept = [LOCK, IMPORT, MOVED, REPLACED].iter().any(|kept| name == *kept) || name == *import;
        if !kept {
            std::fs::rename(dir.join(&name), aside.join(&name))?;
        }
    }
    sync_dir(&aside)?;
    sync_dir(dir)
}

/// Removes what an interrupted rebuild or snapshot left.
pub(super) fn sweep(dir: &Path) -> io::Result<()> {
    let new = dir.join(DATABASE_NEW);
    for path in [wal(&new), new, dir.join(SNAPSHOT_NEW), dir.join(SEAL_NEW)] {
        remove(&path)?;
    }
    Ok(())
}

/// Takes the home for this process. The lock lives as long as the file.
pub(in crate::sqlite) fn lock(dir: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(dir.join(LOCK))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Which file a path names: a replaced or deleted one is told by its inode, a truncated one by its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sqlite) struct Identity {
    device: u64,
    inode: u64,
    pub(in crate::sqlite) length_bytes: u64,
}

impl Identity {
    pub(in crate::sqlite) fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), length_bytes: metadata.len() })
    }

    /// Whether both are the same file, whatever its length.
    pub(super) fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether `path` still names this file and it has not become shorter; then its length is noted.
    pub(in crate::sqlite) fn still(&mut self, path: &Path) -> bool {
        match Self::of(path) {
            Ok(now) => {
                let same = self.same_file(&now) && now.length_bytes >= self.length_bytes;
                self.length_bytes = now.length_bytes;
                same
            }
            Err(_) => false,
        }
    }
}
