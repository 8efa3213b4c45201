//! Reading long runs: the stripes of large objects.
//!
//! What the page cache has is copied from it; what it has not is read past it, because a large object that is read once
//! would only drive out what is hot, at three times the CPU. One that is read again soon is let in: the first page of a
//! run serves as the mark. It is asked for first, without waiting; a cache that has it has seen the run before.
//!
//! Nothing here waits for the kernel's own read-ahead, which is turned off for shard files: it knows neither where an
//! object ends nor how many read at once, and fetching 8 MiB around each block was measured at a quarter of the disk's speed.

use std::fs::{File, OpenOptions};
use std::io::IoSliceMut;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use rustix::fs::OFlags;
use rustix::io::ReadWriteFlags;

use crate::aligned::aligned_buffer;
use crate::block::PAGE_LENGTH_BYTES;

/// Reads of at least this length are long.
pub(crate) const LONG_READ_BYTES: usize = 192 * 1024;

/// Opens the file a second time, past the page cache; `None` where the file system cannot.
pub(crate) fn open_direct(path: &Path) -> Option<File> {
    let flags = OFlags::DIRECT.bits().cast_signed();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).ok()
}

/// What the page cache has at `offset`, from the start on, without waiting for the drive.
pub(crate) fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_full(file: &File, mut buffer: &mut [u8], mut offset: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => break,
            Ok(count) => {
                filled += count;
                offset += count as u64;
                buffer = buffer.get_mut(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A buffer for [`read_long`].
pub(crate) fn long_buffer(length_bytes: usize) -> BytesMut {
    // A direct read ends on a page; the bytes behind the wanted ones are cut off again.
    aligned_buffer(length_bytes.next_multiple_of(PAGE_LENGTH_BYTES))
}

/// Reads up to `length_bytes` at `offset`, into an empty buffer for as many.
pub(crate) fn read_long(
    cached: &File,
    direct: Option<&File>,
    (offset, length_bytes): (u64, usize),
    mut buffer: BytesMut,
) -> std::io::Result<Bytes> {
    buffer.resize(length_bytes.next_multiple_of(PAGE_LENGTH_BYTES), 0);
    let filled = match direct.filter(|_| offset.is_multiple_of(PAGE_LENGTH_BYTES as u64)) {
        Some(direct) if !is_marked(cached, &mut buffer, offset) => {
            match read_direct(direct, &mut buffer, offset) {
                // The file system takes the flag and then wants more than a page's alignment.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                    read_full(cached, &mut buffer, offset)?
                }
                other => other?,
            }
        }
        _ => read_full(cached, &mut buffer, offset)?,
    };
    buffer.truncate(filled.min(length_bytes));
    Ok(buffer.freeze())
}

/// Whether the cache has the first page of a run. The kernel fetches it if not, and the next reader finds it.
fn is_marked(cached: &File, buffer: &mut BytesMut, offset: u64) -> bool {
    let page = buffer.get_mut(..PAGE_LENGTH_BYTES).unwrap_or_default();
    if read_cached(cached, page, offset) == PAGE_LENGTH_BYTES {
        return true;
    }
    // Kernels before 6.2 fetch nothing for a read that may not wait.
    let length = std::num::NonZeroU64::new(PAGE_LENGTH_BYTES as u64);
    let _advice = rustix::fs::fadvise(cached, offset, length, rustix::fs::Advice::WillNeed);
    false
}

/// Like [`read_full`]; where a direct read comes back short, the file ends.
fn read_direct(direct: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match direct.read_at(rest, offset + filled as u64) {
            Ok(count) => {
                filled += count;
                if count == 0 || !count.is_multiple_of(PAGE_LENGTH_BYTES) {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
