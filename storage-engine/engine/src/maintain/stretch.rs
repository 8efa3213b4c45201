//! Reading what is packed in stripes that lie close to each other: one long piece of every column that holds any of it.
//!
//! Stripe by stripe, a disk would be asked for a header and for each block. It reads half a MiB in the time in which it finds a
//! place, so what lies between two stripes is read with them, if it is less. Of each column no more is read
//! than from the first to the last stripe of which it holds something wanted.
//!
//! A stripe of which a piece does not have all, as its block is damaged or longer than was to be seen, is read by itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use granary_drive::{BLOCK_ALIGNMENT_BYTES, BLOCK_HEADER_LENGTH_BYTES};
use granary_metadata::PackedLocation;
use granary_types::VolumeId;

use super::packed::{Entry, StripeData, add_entries, packed_entries};
use crate::error::Result;
use crate::read::{BlockPlace, header_at, verify_block};
use crate::volume::{VolumeMap, VolumeView};

/// The longest piece of a column: what a disk reads well, and one request to another node.
const PIECE_BYTES_MAX: u64 = 1024 * 1024;
/// What is read of a block at least. Before it is read, it is only known to reach as far as the last wanted object in it; few are longer
/// than this.
const BLOCK_BYTES_MIN: u64 = 128 * 1024;
/// What is read for nothing at most, to read what lies behind it in the same piece.
const GAP_BYTES_MAX: u64 = 512 * 1024;
/// What the pieces of several stripes take together at most: the wider a code is, the shorter they are.
const STRETCH_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Stripes that are read by themselves at the same time.
const ALONE_TOGETHER: usize = 4;

/// What is wanted of one stripe.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    offset: u64,
    columns: BTreeSet<u8>,
    /// Where the last of it ends, in the columns.
    end: u64,
}

/// Stripes of one volume, close to each other, and what is wanted of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    volume: VolumeId,
    stripes: Vec<Wanted>,
}

/// What was read of a column.
struct Piece {
    from: u64,
    bytes: Bytes,
}

/// Packed objects by volume and stripe, each with what comes of it.
pub(crate) type Stripes<T> = BTreeMap<(VolumeId, u64), Vec<(PackedLocation, T)>>;

/// Groups stripes into stretches, in their order, with what is wanted of each.
pub(crate) fn stretches<T>(stripes: Stripes<T>) -> Vec<(Stretch, Vec<(PackedLocation, T)>)> {
    let mut found: Vec<(Stretch, Vec<(PackedLocation, T)>)> = Vec::new();
    for ((volume, offset), objects) in stripes {
        let wanted = Wanted::of(offset, &objects);
        match found.last_mut().filter(|(stretch, _)| stretch.reaches(volume, &wanted)) {
            Some((stretch, all)) => {
                stretch.stripes.push(wanted);
                all.extend(objects);
            }
            None => found.push((Stretch { volume, stripes: vec![wanted] }, objects)),
        }
    }
    found
}

impl Wanted {
    fn of<T>(offset: u64, objects: &[(PackedLocation, T)]) -> Self {
        let end = |at: &PackedLocation| at.offset.saturating_add(u64::from(at.length_bytes));
        Self {
            offset,
            columns: objects.iter().map(|(at, _)| at.column).collect(),
            end: objects.iter().map(|(at, _)| end(at)).fold(offset, u64::max),
        }
    }
}

impl Stretch {
    /// How many stripes there are.
    pub(crate) fn stripes(&self) -> usize {
        self.stripes.len()
    }

    /// How much memory reading it takes at most, unless stripes are read by themselves.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.spans().into_values().map(|(from, to)| to - from).sum()
    }

    /// Whether a stripe behind it is to be read together with it.
    fn reaches(&self, volume: VolumeId, next: &Wanted) -> bool {
        let from = self.stripes.first().map_or(0, |first| first.offset);
        let end = self.stripes.last().map_or(0, |last| last.end);
        let columns = self.stripes.iter().chain([next]).flat_map(|wanted| &wanted.columns);
        let columns = columns.collect::<BTreeSet<_>>().len() as u64;
        self.volume == volume
            && next.offset.saturating_sub(end) <= GAP_BYTES_MAX
            && next.end.saturating_sub(from) <= PIECE_BYTES_MAX.min(STRETCH_BYTES_MAX / columns.max(1))
    }

    /// From where to where each column is read.
    fn spans(&self) -> BTreeMap<u8, (u64, u64)> {
        let mut spans: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
        for wanted in &self.stripes {
            let end = wanted.end.max(wanted.offset.saturating_add(BLOCK_BYTES_MIN));
            for column in &wanted.columns {
                let (from, to) = spans.entry(*column).or_insert((wanted.offset, wanted.offset));
                let length_bytes = end.saturating_sub(*from).min(PIECE_BYTES_MAX);
                *to = from.saturating_add(length_bytes.next_multiple_of(BLOCK_ALIGNMENT_BYTES));
            }
        }
        spans
    }

    /// What is packed in the wanted columns of each stripe, by where the stripe begins; lost blocks are rebuilt.
    ///
    /// # Errors
    /// Of a stripe, as [`packed_entries`] says.
    pub(crate) async fn read(&self, map: &VolumeMap) -> Vec<(u64, Result<Vec<Entry>>)> {
        let pieces = match map.view(self.volume).await {
            Ok(view) => self.read_pieces(map, &view).await,
            Err(_) => BTreeMap::new(),
        };
        let mut reads = Vec::with_capacity(self.stripes.len());
        for wanted in &self.stripes {
            let found = self.found(wanted, &pieces);
            reads.push(async move {
                let entries = match found {
                    Some(entries) => Ok(entries),
                    None => self.read_alone(map, wanted).await,
                };
                (wanted.offset, entries)
            });
        }
        futures::stream::iter(reads).buffered(ALONE_TOGETHER).collect().await
    }

    async fn read_alone(&self, map: &VolumeMap, wanted: &Wanted) -> Result<Vec<Entry>> {
        let mut entries = packed_entries(map, self.volume, wanted.offset, &wanted.columns).await?;
        // If one had to be rebuilt, those of all columns came.
        entries.retain(|(at, ..)| wanted.columns.contains(&at.column));
        Ok(entries)
    }

    /// A piece of each column that can be read now.
    async fn read_pieces(&self, map: &VolumeMap, view: &VolumeView) -> BTreeMap<u8, Piece> {
        let reads = self.spans().into_iter().map(|(column, (from, to))| async move {
            let length_bytes = usize::try_from(to - from).unwrap_or(0);
            let read = async { map.shard(view, column).await?.read(from, length_bytes).await };
            match read.await {
                Ok(bytes) => Some((column, Piece { from, bytes })),
                Err(error) => {
                    tracing::debug!(volume = %view.id, column, %error, "a long piece of a column cannot be read now");
                    None
                }
            }
        });
        join_all(reads).await.into_iter().flatten().collect()
    }

    /// What the pieces have of a stripe. `None` if they have not got every block that is wanted.
    fn found(&self, wanted: &Wanted, pieces: &BTreeMap<u8, Piece>) -> Option<Vec<Entry>> {
        let mut found = StripeData::default();
        for column in &wanted.columns {
            let Piece { from, bytes } = pieces.get(column)?;
            let start = usize::try_from(wanted.offset.checked_sub(*from)?).ok()?;
            let place = BlockPlace { volume: self.volume, column: *column, stripe_offset: wanted.offset };
            let header = header_at(bytes.get(start..)?, place)?;
            let end = start + BLOCK_HEADER_LENGTH_BYTES + header.body_length_bytes as usize;
            let block = (end <= bytes.len()).then(|| bytes.slice(start..end))?;
            add_entries(verify_block(&block, place)?, &mut found);
        }
        Some(found.packed)
    }
}

#[cfg(test)]
#[path = "stretch_tests.rs"]
mod tests;
