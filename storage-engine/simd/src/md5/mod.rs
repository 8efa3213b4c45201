//! MD5 of many streams at once.
//!
//! One MD5 is a chain of 64 dependent steps a block: a core spends most of it waiting, and no instruction set makes it
//! faster than about 0.6 GB/s. Chains of different streams do not depend on each other, so [`Kernel::update`] puts the
//! next block of each stream into one lane of a vector: up to 16 streams then take hardly longer than one. S3 needs
//! MD5 for entity tags (RFC 1321); it is no protection against forgery.

use std::fmt;

mod portable;
mod schedule;
#[cfg(test)]
#[path = "md5_tests.rs"]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Bytes that are hashed at a time.
pub const BLOCK_BYTES: usize = 64;

/// Streams that fit one vector at most.
pub const LANES_MAX: usize = 16;

/// 64 bytes of a stream.
type Block = [u8; BLOCK_BYTES];

/// The four words of each lane's state, word by word.
type Words<const LANES: usize> = [[u32; LANES]; 4];

/// A running MD5.
#[derive(Clone)]
pub struct Md5 {
    state: [u32; 4],
    /// The bytes that do not fill a block yet.
    partial: Block,
    length_bytes: u64,
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Md5").field("length_bytes", &self.length_bytes).finish_non_exhaustive()
    }
}

impl Default for Md5 {
    fn default() -> Self {
        Self {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            partial: [0; BLOCK_BYTES],
            length_bytes: 0,
        }
    }
}

impl Md5 {
    /// The digest of everything added.
    #[must_use]
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.length_bytes.wrapping_mul(8).to_le_bytes();
        let used = self.partial_length();
        let mut padding = [0; 2 * BLOCK_BYTES];
        let blocks = if used < BLOCK_BYTES - bits.len() { 1 } else { 2 };
        padding[..used].copy_from_slice(&self.partial[..used]);
        padding[used] = 0x80;
        let end = blocks * BLOCK_BYTES;
        padding[end - bits.len()..end].copy_from_slice(&bits);
        portable::compress(&mut [&mut self.state], &[padding[..end].as_chunks().0]);
        let mut digest = [0; 16];
        for (out, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *out = word.to_le_bytes();
        }
        digest
    }

    /// How many bytes were added.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn partial_length(&self) -> usize {
        (self.length_bytes % BLOCK_BYTES as u64) as usize
    }

    /// Fills the block begun before, so that what is left of `data` begins a block.
    fn top_up<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let used = self.partial_length();
        if used == 0 {
            self.length_bytes = self.length_bytes.wrapping_add(data.len() as u64);
            return data;
        }
        let (head, rest) = data.split_at(data.len().min(BLOCK_BYTES - used));
        self.partial[used..used + head.len()].copy_from_slice(head);
        self.length_bytes = self.length_bytes.wrapping_add(data.len() as u64);
        if used + head.len() == BLOCK_BYTES {
            portable::compress(&mut [&mut self.state], &[&[self.partial]]);
        }
        rest
    }
}

/// One stream and the bytes to add to it.
#[derive(Debug)]
pub struct Lane<'a> {
    /// The stream.
    pub md5: &'a mut Md5,
    /// Its next bytes, in pieces of any length.
    pub pieces: &'a [&'a [u8]],
}

impl<'a> Lane<'a> {
    /// Whole blocks of the next piece that has any; what does not fill a block is kept in the stream.
    fn next_blocks(&mut self) -> &'a [Block] {
        while let Some((piece, rest)) = self.pieces.split_first() {
            self.pieces = rest;
            let (blocks, tail) = self.md5.top_up(piece).as_chunks();
            if !tail.is_empty() {
                self.md5.partial[..tail.len()].copy_from_slice(tail);
            }
            if !blocks.is_empty() {
                return blocks;
            }
        }
        &[]
    }
}

/// A way to hash several streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// The best one this processor runs.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self(Kind::Portable))
    }

    /// All that this processor runs, the best last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "other processors have one kernel")]
        let mut kernels = vec![Self(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                kernels.push(Self(Kind::Avx2));
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                kernels.push(Self(Kind::Avx512));
            }
        }
        kernels
    }

    /// Its name, for benchmarks and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }

    /// Adds each lane's data to its stream. Lanes of like length are hashed fastest; a lane that is longer than the
    /// others goes on without them.
    pub fn update(self, lanes: &mut [Lane<'_>]) {
        for group in lanes.chunks_mut(LANES_MAX) {
            self.update_group(group);
        }
    }

    fn update_group(self, lanes: &mut [Lane<'_>]) {
        let mut blocks: Vec<&[Block]> = lanes.iter().map(|_| &[][..]).collect();
        loop {
            let mut states = Vec::with_capacity(LANES_MAX);
            let mut rests = Vec::with_capacity(LANES_MAX);
            for (lane, blocks) in lanes.iter_mut().zip(&mut blocks) {
                if blocks.is_empty() {
                    *blocks = lane.next_blocks();
                }
                if !blocks.is_empty() {
                    states.push(&mut lane.md5.state);
                    rests.push(blocks);
                }
            }
            let Some(count) = rests.iter().map(|blocks| blocks.len()).min() else { return };
            let now: Vec<&[Block]> = rests.iter().map(|blocks| &blocks[..count]).collect();
            self.compress(&mut states, &now);
            rests.into_iter().for_each(|blocks| *blocks = &blocks[count..]);
        }
    }

    /// Hashes equally many blocks of up to 16 streams.
    fn compress(self, states: &mut [&mut [u32; 4]], blocks: &[&[Block]]) {
        match self.0 {
            Kind::Portable => portable::compress(states, blocks),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` gives this kernel out only where AVX2 was detected.
            Kind::Avx2 => unsafe { x86::compress_avx2(states, blocks) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` gives this kernel out only where AVX-512 F and VL were detected.
            Kind::Avx512 => unsafe { x86::compress_avx512(states, blocks) },
        }
    }
}

/// The states of the first lanes, word by word; lanes beyond them repeat the first.
fn gather<const LANES: usize>(states: &[&mut [u32; 4]]) -> Words<LANES> {
    let mut words = [[0; LANES]; 4];
    for (lane, state) in states.iter().take(LANES).enumerate() {
        for (word, value) in words.iter_mut().zip(state.iter()) {
            word[lane] = *value;
        }
    }
    words
}

/// Puts the states back where [`gather`] found them.
fn scatter<const LANES: usize>(words: &Words<LANES>, states: &mut [&mut [u32; 4]]) {
    for (lane, state) in states.iter_mut().take(LANES).enumerate() {
        for (word, value) in words.iter().zip(state.iter_mut()) {
            *value = word[lane];
        }
    }
}

/// One slice for each lane, all as long as the first; lanes without a stream repeat the first.
fn rows<'a, const LANES: usize>(blocks: &[&'a [Block]]) -> [&'a [Block]; LANES] {
    let first = blocks.first().copied().unwrap_or_default();
    let mut rows = [first; LANES];
    for (row, blocks) in rows.iter_mut().zip(blocks) {
        *row = &blocks[..first.len()];
    }
    rows
}
