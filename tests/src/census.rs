//! The drives from outside: which shard files are really there, and ways to harm them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::content::Choices;

/// Where a drive keeps its shard files.
pub const VOLUMES_DIR: &str = "volumes";

/// What happens to a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The directory is gone.
    Removed,
    /// The directory is there and empty, as after mounting a new drive.
    Emptied,
    /// Every file has lost its second half: shards, metadata, and the identity.
    Truncated,
    /// Every file has flipped bits all over: shards, metadata, and the identity.
    BitFlipped,
}

impl Harm {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Removed, Self::Emptied, Self::Truncated, Self::BitFlipped];

    /// Does it to the drive at `path`.
    pub fn inflict(self, path: &Path, choices: &mut Choices) -> Result<()> {
        match self {
            Self::Removed => remove_racing(path),
            Self::Emptied => {
                remove_racing(path)?;
                std::fs::create_dir_all(path).context("emptying a drive")
            }
            Self::Truncated => for_each_file(path, |file, length_bytes| Ok(file.set_len(length_bytes / 2)?)),
            Self::BitFlipped => {
                for_each_file(path, |file, length_bytes| flip_bits(file, length_bytes, choices))
            }
        }
    }
}

/// Removes a directory that a running server may be writing into.
fn remove_racing(path: &Path) -> Result<()> {
    for _ in 0..3_000 {
        match std::fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
    std::fs::remove_dir_all(path).context("removing a drive")
}

/// Every file of a drive but the lock, and but hidden ones: those are not part of its format.
fn for_each_file(drive: &Path, mut harm: impl FnMut(&File, u64) -> Result<()>) -> Result<()> {
    for path in files_below(drive)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') || name.ends_with("lock") {
            continue;
        }
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            // A running server removes files too.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context("opening a file of a drive"),
        };
        let length_bytes = file.metadata()?.len();
        harm(&file, length_bytes)?;
    }
    Ok(())
}

/// Flips one bit in about every 8 KiB, at least one in a file that has any byte, so that hardly a
/// block on the drive is left whole.
fn flip_bits(file: &File, length_bytes: u64, choices: &mut Choices) -> Result<()> {
    let flips = (length_bytes / 8192).max(u64::from(length_bytes > 0));
    for _ in 0..flips {
        let offset = choices.below(length_bytes);
        let mut byte = [0];
        if file.read_at(&mut byte, offset)? == 0 {
            // A running server cuts files too.
            continue;
        }
        let bit = 1_u8 << choices.below(8);
        file.write_all_at(&byte.map(|value| value ^ bit), offset)?;
    }
    Ok(())
}

/// Every file below the drive's volumes directory; none if the drive is not there.
pub fn shard_files(drive: &Path) -> Result<Vec<PathBuf>> {
    files_below(&drive.join(VOLUMES_DIR))
}

/// Every file below `dir`, in order.
pub fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("listing {}", dir.display())),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The shard files of every volume, over all drives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// For each volume (its id as its files are named), the drives that hold a shard of it.
    pub volumes: BTreeMap<String, BTreeSet<usize>>,
}

impl Census {
    /// Counts what is on the drives now.
    pub fn take(drives: &[PathBuf]) -> Result<Self> {
        let mut census = Self::default();
        for (number, drive) in drives.iter().enumerate() {
            for file in shard_files(drive)? {
                let name =
                    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                // `<volume>-<column>.shard`; a shard still being rebuilt has another suffix and does not count.
                let Some(stem) = name.strip_suffix(".shard").and_then(|name| name.rsplit_once('-')) else {
                    continue;
                };
                let volume = stem.0.to_owned();
                census.volumes.entry(volume).or_default().insert(number);
            }
        }
        Ok(census)
    }

    /// Fails unless every volume that the server knows has a shard file on as many drives as its
    /// erasure code is wide, and parity of at least `parity_min`. `volumes` is what
    /// `granary volume list --json` printed; those already freed are passed over.
    pub fn ensure_complete(&self, volumes: &serde_json::Value, parity_min: usize) -> Result<()> {
        let volumes = volumes.get("volumes").unwrap_or(volumes).as_array().context("a list of volumes")?;
        ensure!(!volumes.is_empty(), "no volume is listed");
        for volume in volumes {
            let text = |name: &str| {
                volume.get(name).and_then(serde_json::Value::as_str).with_context(|| name.to_owned())
            };
            let (id, code) = (text("id")?, text("erasure")?);
            if text("state")? == "freed" {
                // Nothing in it is wanted; its files go after the grace period.
                continue;
            }
            let (data, parity) = code.split_once('+').context("k+m")?;
            let (data, parity): (usize, usize) = (data.parse()?, parity.parse()?);
            let drives = self.volumes.get(id).cloned().unwrap_or_default();
            ensure!(drives.len() == data + parity, "{volume} has shards on drives {drives:?} only");
            ensure!(parity >= parity_min, "volume {id} is only {code}");
        }
        Ok(())
    }
}

/// Bytes that the files under these directories take on disk.
pub fn stored_bytes(drives: &[PathBuf]) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut total = 0;
    for drive in drives {
        for file in files_below(drive)? {
            // A file may go away while it is counted; compaction does that.
            if let Ok(metadata) = std::fs::metadata(file) {
                total += metadata.blocks() * 512;
            }
        }
    }
    Ok(total)
}
