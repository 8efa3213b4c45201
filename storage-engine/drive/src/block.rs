//! The fixed headers of shard files and blocks.
//!
//! A shard file begins with one page, the [`FileHeader`]. Stripes follow, each beginning at the same multiple
//! of [`BLOCK_ALIGNMENT_BYTES`] in all shard files of the volume, so that a later append never rewrites a
//! page of an earlier one. A block is
//!
//! ```text
//! | header, 160 bytes | body: records, then data | zeros to the next page |
//! ```
//!
//! The header belongs to its column; the body is what the erasure code covers. In a data block the records
//! carry a hash for each unit of data and the header carries the hash of the records; in a parity block
//! the header carries the hash of the whole body. So every stored byte is covered by exactly one hash chain.

use granary_types::{ClusterId, Epoch, VolumeId};

/// Stripes begin at multiples of this.
pub const BLOCK_ALIGNMENT_BYTES: u64 = PAGE_LENGTH_BYTES as u64;
/// The same as a length in memory.
pub const PAGE_LENGTH_BYTES: usize = 4096;
/// The length of a block's header.
pub const BLOCK_HEADER_LENGTH_BYTES: usize = 160;
/// The longest body a header may announce: larger claims are corruption.
pub const BODY_LENGTH_BYTES_MAX: u32 = 1024 * 1024;

const BLOCK_MAGIC: [u8; 4] = *b"GrBl";
const FILE_MAGIC: [u8; 4] = *b"GrSh";
const VERSION: u16 = 1;
const HASH_LENGTH_BYTES: usize = 16;

/// How many bytes of each shard file a stripe takes whose blocks have bodies of this length.
#[must_use]
pub fn block_span_bytes(body_length_bytes: u32) -> u64 {
    (BLOCK_HEADER_LENGTH_BYTES as u64 + u64::from(body_length_bytes)).next_multiple_of(BLOCK_ALIGNMENT_BYTES)
}

/// What a block's records say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Whole small objects.
    Packed,
    /// A part of one blob.
    Blob,
}

/// The header of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// What the stripe holds.
    pub kind: BlockKind,
    /// The column this block belongs to.
    pub column: u8,
    /// k and m of the volume.
    pub profile: (u8, u8),
    /// The store.
    pub cluster: ClusterId,
    /// The volume.
    pub volume: VolumeId,
    /// The epoch of the writer.
    pub epoch: Epoch,
    /// The number of the stripe in its volume, from 0.
    pub stripe: u64,
    /// Where the stripe begins in each shard file.
    pub stripe_offset: u64,
    /// Bit c is set if column c was written; the others are all zero.
    pub columns_written: u32,
    /// The length of the body, the same in all columns.
    pub body_length_bytes: u32,
    /// How much of the body the records take (0 in parity blocks).
    pub records_length_bytes: u32,
    /// How many bytes of data follow the records (0 in parity blocks).
    pub data_length_bytes: u32,
    /// BLAKE3 of the records in a data block, of the body in a parity block.
    pub hash: [u8; 32],
}

impl BlockHeader {
    /// Whether this column holds parity.
    #[must_use]
    pub fn is_parity(&self) -> bool {
        self.column >= self.profile.0
    }

    /// Writes the header, with its own hash, into the first bytes of `block`.
    /// Returns `false` if `block` is too short.
    #[must_use]
    pub fn write(&self, block: &mut [u8]) -> bool {
        let Some(out) = block.get_mut(..BLOCK_HEADER_LENGTH_BYTES) else { return false };
        out.fill(0);
        let mut fields = Fields { bytes: out, at: 0 };
        fields.put(&BLOCK_MAGIC);
        fields.put(&VERSION.to_le_bytes());
        fields.put(&[match self.kind {
            BlockKind::Packed => 1,
            BlockKind::Blob => 2,
        }]);
        fields.put(&[self.column]);
        fields.put(self.cluster.as_bytes());
        fields.put(self.volume.as_bytes());
        fields.put(&self.epoch.0.to_le_bytes());
        fields.put(&self.stripe.to_le_bytes());
        fields.put(&self.stripe_offset.to_le_bytes());
        fields.put(&self.columns_written.to_le_bytes());
        fields.put(&[self.profile.0, self.profile.1, 0, 0]);
        fields.put(&self.body_length_bytes.to_le_bytes());
        fields.put(&self.records_length_bytes.to_le_bytes());
        fields.put(&self.data_length_bytes.to_le_bytes());
        fields.put(&self.hash);
        seal(out);
        true
    }

    /// Reads a header back; `None` if it is not one, is damaged or contradicts itself.
    #[must_use]
    pub fn read(block: &[u8]) -> Option<Self> {
        let bytes = block.get(..BLOCK_HEADER_LENGTH_BYTES)?;
        let mut fields = Parse { bytes: unseal(bytes)? };
        if fields.take::<4>()? != BLOCK_MAGIC || u16::from_le_bytes(fields.take()?) != VERSION {
            return None;
        }
        let kind = match fields.take::<1>()? {
            [1] => BlockKind::Packed,
            [2] => BlockKind::Blob,
            _ => return None,
        };
        let [column] = fields.take::<1>()?;
        let cluster = ClusterId::from_bytes(fields.take()?);
        let volume = VolumeId::from_bytes(fields.take()?);
        let epoch = Epoch(u64::from_le_bytes(fields.take()?));
        let stripe = u64::from_le_bytes(fields.take()?);
        let stripe_offset = u64::from_le_bytes(fields.take()?);
        let columns_written = u32::from_le_bytes(fields.take()?);
        let [data, parity, _, _] = fields.take::<4>()?;
        let header = Self {
            kind,
            column,
            profile: (data, parity),
            cluster,
            volume,
            epoch,
            stripe,
            stripe_offset,
            columns_written,
            body_length_bytes: u32::from_le_bytes(fields.take()?),
            records_length_bytes: u32::from_le_bytes(fields.take()?),
            data_length_bytes: u32::from_le_bytes(fields.take()?),
            hash: fields.take()?,
        };
        header.is_consistent().then_some(header)
    }

    fn is_consistent(&self) -> bool {
        let columns = u32::from(self.profile.0) + u32::from(self.profile.1);
        let used = self.records_length_bytes.checked_add(self.data_length_bytes);
        u32::from(self.column) < columns
            && columns <= 24
            && self.columns_written & (1 << self.column) != 0
            && self.stripe_offset.is_multiple_of(BLOCK_ALIGNMENT_BYTES)
            && self.body_length_bytes <= BODY_LENGTH_BYTES_MAX
            && used.is_some_and(|used| used <= self.body_length_bytes)
    }
}

/// The first page of a shard file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// The store.
    pub cluster: ClusterId,
    /// The volume.
    pub volume: VolumeId,
    /// The column.
    pub column: u8,
    /// k and m of the volume.
    pub profile: (u8, u8),
}

impl FileHeader {
    /// The length of the header with its padding; the first stripe begins here.
    pub const LENGTH_BYTES: u64 = BLOCK_ALIGNMENT_BYTES;

    /// The page.
    #[must_use]
    pub fn to_page(self) -> Vec<u8> {
        let mut page = vec![0; PAGE_LENGTH_BYTES];
        if let Some(out) = page.get_mut(..BLOCK_HEADER_LENGTH_BYTES) {
            let mut fields = Fields { bytes: out, at: 0 };
            fields.put(&FILE_MAGIC);
            fields.put(&VERSION.to_le_bytes());
            fields.put(&[0, self.column]);
            fields.put(self.cluster.as_bytes());
            fields.put(self.volume.as_bytes());
            fields.put(&[self.profile.0, self.profile.1]);
            seal(out);
        }
        page
    }

    /// Reads the page back.
    #[must_use]
    pub fn read(page: &[u8]) -> Option<Self> {
        let mut fields = Parse { bytes: unseal(page.get(..BLOCK_HEADER_LENGTH_BYTES)?)? };
        if fields.take::<4>()? != FILE_MAGIC || u16::from_le_bytes(fields.take()?) != VERSION {
            return None;
        }
        let [_, column] = fields.take::<2>()?;
        let cluster = ClusterId::from_bytes(fields.take()?);
        let volume = VolumeId::from_bytes(fields.take()?);
        let [data, parity] = fields.take::<2>()?;
        Some(Self { cluster, volume, column, profile: (data, parity) })
    }
}

fn seal(header: &mut [u8]) {
    if let Some((content, hash)) = header.split_at_mut_checked(BLOCK_HEADER_LENGTH_BYTES - HASH_LENGTH_BYTES)
    {
        for (to, from) in hash.iter_mut().zip(blake3::hash(content).as_bytes()) {
            *to = *from;
        }
    }
}

fn unseal(header: &[u8]) -> Option<&[u8]> {
    let (content, hash) = header.split_at_checked(BLOCK_HEADER_LENGTH_BYTES - HASH_LENGTH_BYTES)?;
    (blake3::hash(content).as_bytes().get(..HASH_LENGTH_BYTES)? == hash).then_some(content)
}

struct Fields<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Fields<'_> {
    fn put(&mut self, value: &[u8]) {
        if let Some(out) = self.bytes.get_mut(self.at..self.at + value.len()) {
            out.copy_from_slice(value);
        }
        self.at += value.len();
    }
}

struct Parse<'a> {
    bytes: &'a [u8],
}

impl Parse<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*value)
    }
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
