//! Bytes in encrypted units: plaintext of 64 KiB each, the last one perhaps shorter, followed by a tag of 16 bytes.
//!
//! The plaintext's length tells the stored one and which unit is the last, so nothing but units is stored. A range reads
//! the whole units that it touches and no more.

use bytes::{Bytes, BytesMut};
use granary_types::BlobId;
use ring::aead::{Aad, LessSafeKey, Nonce};

use crate::envelope::{DataKey, cipher};
use crate::error::KeyError;

/// Plaintext bytes of a unit.
pub const UNIT_BYTES: u64 = UNIT as u64;
/// How much longer a unit is when it is stored.
pub const TAG_BYTES: u64 = TAG as u64;
const STORED_UNIT_BYTES: u64 = UNIT_BYTES + TAG_BYTES;
const UNIT: usize = 64 * 1024;
const TAG: usize = 16;

const STREAM: &[u8] = b"granary: stream key, version 1";

/// How many bytes are stored for `plain_bytes` of plaintext.
#[must_use]
pub fn stored_length_bytes(plain_bytes: u64) -> u64 {
    plain_bytes.saturating_add(unit_count(plain_bytes).saturating_mul(TAG_BYTES))
}

fn unit_count(plain_bytes: u64) -> u64 {
    plain_bytes.div_ceil(UNIT_BYTES)
}

/// Which bytes a data key encrypts here. Each stream under a data key has a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamId {
    /// All bytes of an object that was put whole: the data key has no other stream.
    Whole,
    /// A part, by its blob. A part that is sent again is another blob, so no nonce meets other bytes.
    Part(BlobId),
}

struct StreamKey(LessSafeKey);

/// Whether a unit is the last of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Inner,
    Last,
}

impl StreamKey {
    fn new(key: &DataKey, stream: StreamId) -> Result<Self, KeyError> {
        let salt = match stream {
            StreamId::Whole => [0; 16],
            StreamId::Part(blob) => *blob.as_bytes(),
        };
        Ok(Self(cipher(&key.0.derive(&salt, STREAM)?)?))
    }

    fn nonce(index: u64, place: Place) -> Nonce {
        let mut nonce = [0; 12];
        let (flag, counter) = nonce.split_at_mut(4);
        if place == Place::Last {
            flag.fill(1);
        }
        counter.copy_from_slice(&index.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Encrypts a stream from its first byte on.
pub struct Sealer {
    key: StreamKey,
    next: u64,
    buffer: BytesMut,
    plain_bytes: u64,
}

impl Sealer {
    /// Begins a stream. There must never be another one with the same key and id.
    ///
    /// # Errors
    /// [`KeyError::Cipher`].
    pub fn new(key: &DataKey, stream: StreamId) -> Result<Self, KeyError> {
        Ok(Self { key: StreamKey::new(key, stream)?, next: 0, buffer: BytesMut::new(), plain_bytes: 0 })
    }

    /// How many bytes of plaintext came.
    #[must_use]
    pub fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    /// Takes bytes out of `plain` until a unit is complete and known not to be the last, and returns it; `None` when all
    /// of `plain` is taken.
    ///
    /// # Errors
    /// [`KeyError::Cipher`].
    pub fn push(&mut self, plain: &mut Bytes) -> Result<Option<Bytes>, KeyError> {
        let mut complete = None;
        if self.buffer.len() == UNIT && !plain.is_empty() {
            complete = Some(self.seal(Place::Inner)?);
        }
        if self.buffer.is_empty() && !plain.is_empty() {
            // A small object is often here whole, and gets no more room than it needs.
            let unit = if self.next == 0 { plain.len().min(UNIT) } else { UNIT };
            self.buffer.reserve(unit + TAG);
        }
        let taken = plain.split_to(plain.len().min(UNIT - self.buffer.len()));
        self.buffer.extend_from_slice(&taken);
        self.plain_bytes += taken.len() as u64;
        if complete.is_none() && !plain.is_empty() {
            complete = Some(self.seal(Place::Inner)?);
        }
        Ok(complete)
    }

    /// The last unit; `None` for a stream without bytes.
    ///
    /// # Errors
    /// [`KeyError::Cipher`].
    pub fn finish(&mut self) -> Result<Option<Bytes>, KeyError> {
        if self.buffer.is_empty() { Ok(None) } else { self.seal(Place::Last).map(Some) }
    }

    fn seal(&mut self, place: Place) -> Result<Bytes, KeyError> {
        let mut unit = std::mem::take(&mut self.buffer);
        let nonce = StreamKey::nonce(self.next, place);
        self.key.0.seal_in_place_append_tag(nonce, Aad::empty(), &mut unit).map_err(|_| KeyError::Cipher)?;
        self.next += 1;
        Ok(unit.freeze())
    }
}

/// Which stored bytes hold the plaintext bytes `from..to` of a stream of `plain_bytes`.
#[must_use]
pub fn stored_range(plain_bytes: u64, from: u64, to: u64) -> (u64, u64) {
    let to = to.min(plain_bytes);
    if from >= to {
        return (0, 0);
    }
    let start = from / UNIT_BYTES * STORED_UNIT_BYTES;
    let end = to.div_ceil(UNIT_BYTES).saturating_mul(STORED_UNIT_BYTES);
    (start, end.min(stored_length_bytes(plain_bytes)))
}

/// Decrypts the stored bytes of [`stored_range`] and gives the plaintext of the range.
pub struct Opener {
    key: StreamKey,
    plain_bytes: u64,
    /// The unit that comes next.
    next: u64,
    /// Plaintext of the next unit that is not wanted.
    skip: usize,
    /// Plaintext still wanted.
    left: u64,
    buffer: BytesMut,
}

impl Opener {
    /// Begins to read the plaintext bytes `from..to` of a stream of `plain_bytes`.
    ///
    /// # Errors
    /// [`KeyError::Cipher`].
    pub fn new(
        key: &DataKey,
        stream: StreamId,
        plain_bytes: u64,
        (from, to): (u64, u64),
    ) -> Result<Self, KeyError> {
        let to = to.min(plain_bytes);
        Ok(Self {
            key: StreamKey::new(key, stream)?,
            plain_bytes,
            next: from / UNIT_BYTES,
            skip: usize::try_from(from % UNIT_BYTES).unwrap_or(0),
            left: to.saturating_sub(from),
            buffer: BytesMut::new(),
        })
    }

    /// Takes bytes out of `stored` until a unit is complete, and returns what is wanted of its plaintext; `None` when all
    /// of `stored` is taken.
    ///
    /// # Errors
    /// [`KeyError::Unit`] if the unit does not verify: nothing of it comes out.
    pub fn push(&mut self, stored: &mut Bytes) -> Result<Option<Bytes>, KeyError> {
        if stored.is_empty() || self.left == 0 {
            stored.clear();
            return Ok(None);
        }
        let unit_bytes = self.unit_length();
        if self.buffer.capacity() < unit_bytes {
            self.buffer.reserve(unit_bytes - self.buffer.len());
        }
        let taken = stored.split_to(stored.len().min(unit_bytes - self.buffer.len()));
        self.buffer.extend_from_slice(&taken);
        if self.buffer.len() < unit_bytes {
            return Ok(None);
        }
        let mut unit = std::mem::take(&mut self.buffer);
        let last = self.next + 1 >= unit_count(self.plain_bytes);
        let nonce = StreamKey::nonce(self.next, if last { Place::Last } else { Place::Inner });
        let opened = self.key.0.open_in_place(nonce, Aad::empty(), &mut unit).map_err(|_| KeyError::Unit)?;
        let length = opened.len();
        unit.truncate(length);
        self.next += 1;
        let mut plain = unit.freeze().split_off(std::mem::take(&mut self.skip).min(length));
        plain.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= plain.len() as u64;
        Ok(Some(plain))
    }

    /// Whether all that was wanted came out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// The stored length of the next unit.
    fn unit_length(&self) -> usize {
        let rest = self.plain_bytes.saturating_sub(self.next.saturating_mul(UNIT_BYTES));
        usize::try_from(rest.min(UNIT_BYTES)).unwrap_or(UNIT) + TAG
    }
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
