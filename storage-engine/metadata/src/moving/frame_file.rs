//! Frames in one file.
//!
//! `magic, { length: u32, BLAKE3 of the frame, frame }…, index, length of the index: u32, BLAKE3 of the index, magic`; numbers
//! are little-endian, and the index is the offset of each frame. The file has another name until it is whole and flushed.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::backup::{FrameSink, FrameSource};

const MAGIC: &[u8; 8] = b"GRNBKUP1";
const MAGIC_BYTES: u64 = 8;
const HASH_BYTES: u64 = 32;
/// What is in front of a frame: its length and its hash.
const HEAD_BYTES: u64 = 4 + HASH_BYTES;
/// What follows the index: its length, its hash and the magic.
const END_BYTES: u64 = 4 + HASH_BYTES + MAGIC_BYTES;
/// What the index has of each frame.
const OFFSET_BYTES: u64 = 8;
/// Longer frames are damage: 2 MiB are meant, and the longest object's record is about as long.
const FRAME_BYTES_MAX: u32 = 256 << 20;
/// More frames are damage: with the 2,000 entries that most frames have these are sixteen thousand million, and their index, which
/// is held in memory, takes 64 MiB.
const FRAMES_MAX: u64 = 8 << 20;

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the backup file is damaged: {what}"))
}

/// Makes the bytes of a file, wherever they go.
#[derive(Debug)]
pub struct FrameEncoder {
    offset: u64,
    index: Vec<u64>,
}

impl FrameEncoder {
    /// Begins a file in `out`.
    pub fn begin(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(MAGIC);
        Self { offset: MAGIC_BYTES, index: Vec::new() }
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// When it is too long, or one too many.
    pub fn append(&mut self, frame: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let length = u32::try_from(frame.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX);
        let length = length.ok_or_else(|| damaged("a frame is too long"))?;
        if u64::try_from(self.index.len()).unwrap_or(u64::MAX) >= FRAMES_MAX {
            return Err(damaged("it has too many frames"));
        }
        self.index.push(self.offset);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(blake3::hash(frame).as_bytes());
        out.extend_from_slice(frame);
        self.offset = self.offset.saturating_add(HEAD_BYTES).saturating_add(u64::from(length));
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it has too many frames.
    pub fn finish(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let index: Vec<u8> = self.index.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        let length = u32::try_from(index.len()).map_err(|_| damaged("it has too many frames"))?;
        out.extend_from_slice(&index);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(blake3::hash(&index).as_bytes());
        out.extend_from_slice(MAGIC);
        Ok(())
    }
}

/// A file that is written.
pub struct FrameFileSink {
    file: File,
    encoder: FrameEncoder,
    /// What was encoded and not written.
    bytes: Vec<u8>,
    temporary: PathBuf,
    path: PathBuf,
    is_finished: bool,
}

impl Drop for FrameFileSink {
    fn drop(&mut self) {
        if !self.is_finished {
            // What stays is overwritten or removed by the next backup.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

impl FrameFileSink {
    /// Begins a file; it gets the name `path` when it is finished.
    ///
    /// # Errors
    /// When there is such a file already or it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists", path.display())));
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        let file = File::create(&temporary)?;
        let mut bytes = Vec::new();
        let encoder = FrameEncoder::begin(&mut bytes);
        Ok(Self { file, encoder, bytes, temporary, path: path.to_owned(), is_finished: false })
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}

impl FrameSink for FrameFileSink {
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.encoder.append(frame, &mut self.bytes)?;
        self.write()
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        let Self { encoder, bytes, .. } = &mut *self;
        encoder.finish(bytes)?;
        self.write()?;
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        self.is_finished = true;
        let parent = self.path.parent().filter(|parent| *parent != Path::new(""));
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// A file that is read.
#[derive(Debug)]
pub struct FrameFile {
    file: File,
    index: Vec<u64>,
    /// Where the index begins, and the last frame ends.
    index_at: u64,
}

impl FrameFile {
    /// Opens a file and reads its index.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is not whole.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let end_at = length.checked_sub(END_BYTES).ok_or_else(|| damaged("it is too short"))?;
        let mut end = [0_u8; 44];
        file.read_exact_at(&mut end, end_at)?;
        let (index_length, rest) = end.split_at(4);
        let (hash, magic) = rest.split_at(32);
        let mut word = [0_u8; 4];
        word.copy_from_slice(index_length);
        let index_length = u64::from(u32::from_le_bytes(word));
        if magic != MAGIC {
            return Err(damaged("it has no end, or is no backup"));
        }
        let index_at = index_at(end_at, index_length)?;
        let mut index = vec![0_u8; usize::try_from(index_length).unwrap_or(0)];
        file.read_exact_at(&mut index, index_at)?;
        if blake3::hash(&index).as_bytes() != hash {
            return Err(damaged("its index does not match its hash"));
        }
        let offsets = index.chunks_exact(8).map(|bytes| {
            let mut word = [0_u8; 8];
            word.copy_from_slice(bytes);
            u64::from_le_bytes(word)
        });
        Ok(Self { file, index: offsets.collect(), index_at })
    }
}

/// Where an index of that length begins. The length is not to be believed yet: memory is taken for no more than can be there.
fn index_at(end_at: u64, index_length: u64) -> io::Result<u64> {
    let frames = index_length / OFFSET_BYTES;
    if !index_length.is_multiple_of(OFFSET_BYTES) || frames > FRAMES_MAX {
        return Err(damaged("its index has an impossible length"));
    }
    let frames_bytes = frames.saturating_mul(HEAD_BYTES).saturating_add(MAGIC_BYTES);
    let index_at = end_at.checked_sub(index_length).filter(|index_at| *index_at >= frames_bytes);
    index_at.ok_or_else(|| damaged("its index is longer than its frames allow"))
}

impl FrameSource for FrameFile {
    fn count(&self) -> usize {
        self.index.len()
    }

    fn frame(&self, number: usize) -> io::Result<Vec<u8>> {
        let offset = *self.index.get(number).ok_or_else(|| damaged("a frame is missing"))?;
        let mut head = [0_u8; 36];
        self.file.read_exact_at(&mut head, offset)?;
        let (length, hash) = head.split_at(4);
        let mut word = [0_u8; 4];
        word.copy_from_slice(length);
        let length = u32::from_le_bytes(word);
        // By the index, which was checked, the frame ends where the next one begins.
        let next = number.checked_add(1).and_then(|next| self.index.get(next));
        let body_at = offset.saturating_add(HEAD_BYTES);
        let ends_at = body_at.saturating_add(u64::from(length));
        if length > FRAME_BYTES_MAX || ends_at != *next.unwrap_or(&self.index_at) {
            return Err(damaged("a frame has an impossible length"));
        }
        let mut frame = vec![0_u8; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut frame, body_at)?;
        if blake3::hash(&frame).as_bytes() != hash {
            return Err(damaged("a frame does not match its hash"));
        }
        Ok(frame)
    }
}

#[cfg(test)]
#[path = "frame_file_tests.rs"]
mod tests;
