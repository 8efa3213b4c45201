//! Files in a working directory: what is told of keys, spread by key, and the entries of the metadata that come of it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use granary_types::{BucketId, ObjectKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::io as io_error;
use crate::error::Result;

/// Keys are spread over so many files; one of them is in memory at a time.
pub(super) const SHARES: usize = 64;
/// Longer frames are damage.
const FRAME_BYTES_MAX: u32 = 256 << 20;

/// A directory that is removed at the end.
pub(super) struct Work {
    directory: PathBuf,
}

impl Work {
    pub(super) fn create(parent: &Path) -> Result<Self> {
        let name = format!("granary-recover-{}", std::process::id());
        let directory = parent.join(name);
        std::fs::create_dir_all(&directory).map_err(io_error("making the working directory"))?;
        Ok(Self { directory })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What stays is a temporary file of an interrupted command.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn invalid(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// Writes one value as a frame and returns its length.
pub(super) fn write_frame<T: Serialize>(to: &mut impl io::Write, value: &T) -> io::Result<u64> {
    let bytes = postcard::to_stdvec(value).map_err(invalid)?;
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| invalid("a frame is too long"))?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&bytes)?;
    Ok(u64::from(length).saturating_add(4))
}

/// Reads the next frame; `None` at the end.
pub(super) fn read_frame<T: DeserializeOwned>(from: &mut impl io::Read) -> io::Result<Option<(T, u64)>> {
    let mut word = [0_u8; 4];
    match from.read_exact(&mut word) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_le_bytes(word);
    if length > FRAME_BYTES_MAX {
        return Err(invalid("a frame is too long"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(invalid)?];
    from.read_exact(&mut bytes)?;
    let value = postcard::from_bytes(&bytes).map_err(invalid)?;
    Ok(Some((value, u64::from(length).saturating_add(4))))
}

/// Values spread over files by their key.
pub(super) struct Shares {
    files: Vec<(PathBuf, BufWriter<File>)>,
}

impl Shares {
    pub(super) fn create(work: &Work) -> Result<Self> {
        let make = |number: usize| -> io::Result<(PathBuf, BufWriter<File>)> {
            let path = work.path(&format!("share-{number}"));
            let file = BufWriter::new(File::create(&path)?);
            Ok((path, file))
        };
        let files = (0..SHARES).map(make).collect::<io::Result<_>>();
        Ok(Self { files: files.map_err(io_error("making the spool"))? })
    }

    pub(super) fn add<T: Serialize>(&mut self, bucket: BucketId, key: &ObjectKey, value: &T) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(bucket.as_bytes()).update(key.as_bytes());
        let [first, ..] = *hasher.finalize().as_bytes();
        let number = usize::from(first) % SHARES;
        if let Some((_, file)) = self.files.get_mut(number) {
            write_frame(file, value).map_err(io_error("writing the spool"))?;
        }
        Ok(())
    }

    /// Ends writing; the files can be read one by one.
    pub(super) fn finish(self) -> Result<Vec<PathBuf>> {
        let flushed = self.files.into_iter().map(|(path, mut file)| file.flush().map(|()| path));
        flushed.collect::<io::Result<_>>().map_err(io_error("writing the spool"))
    }
}

/// All values in a file.
pub(super) fn read_all<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let read = || {
        let mut file = BufReader::new(File::open(path)?);
        let mut values = Vec::new();
        while let Some((value, _)) = read_frame(&mut file)? {
            values.push(value);
        }
        Ok(values)
    };
    read().map_err(io_error("reading the spool"))
}
