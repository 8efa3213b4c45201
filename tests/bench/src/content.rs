//! Bytes that a seed determines, so that a test or benchmark need not keep what it has written.

use std::io::{Read, Seek, SeekFrom};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use md5::{Digest as _, Md5};

/// An endless, seekable stream of incompressible bytes: BLAKE3's extended output for a seed.
#[derive(Debug)]
pub struct SeededStream(blake3::OutputReader);

impl SeededStream {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"granary test content");
        hasher.update(&seed.to_le_bytes());
        Self(hasher.finalize_xof())
    }

    /// Moves to `offset_bytes` from the start.
    pub fn seek_to(&mut self, offset_bytes: u64) -> std::io::Result<()> {
        self.0.seek(SeekFrom::Start(offset_bytes)).map(|_| ())
    }
}

impl Read for SeededStream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

/// The first `length_bytes` of the stream of `seed`.
pub fn seeded_bytes(seed: u64, length_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; length_bytes];
    SeededStream::new(seed).0.fill(&mut bytes);
    bytes
}

/// A small deterministic generator for choices (not for content): SplitMix64.
#[derive(Clone, Debug)]
pub struct Choices(u64);

impl Choices {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64().checked_rem(end).unwrap_or(0)
    }

    /// True `percent` times of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `items`; `None` if there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(items.len() as u64)).ok()?;
        items.get(index)
    }
}

/// The header line with the digest that S3 wants of some documents: configurations, and lists of keys to delete.
pub fn content_md5(document: &[u8]) -> String {
    format!("content-md5: {}\r\n", BASE64_STANDARD.encode(Md5::digest(document)))
}
