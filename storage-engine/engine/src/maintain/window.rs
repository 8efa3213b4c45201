//! What a walk reads at a time: a long piece of every column, read together, in which the stripes are found and checked.
//!
//! A window says only what reading it stripe by stripe would have said. A column whose piece could not be read for a reason
//! that may pass, or ends before it should, is asked again for each stripe, so that what is lost and what is merely away stay
//! apart as they are.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::future::join_all;
use granary_drive::{BLOCK_ALIGNMENT_BYTES, BLOCK_HEADER_LENGTH_BYTES, BlockHeader, block_span_bytes};
use granary_types::VolumeId;

use crate::layout::{BLOB_BLOCK_BYTES, BLOB_HEAD_BYTES};
use crate::read::{BlockPlace, Found, Stripe, VerifiedBlock, header_at, read_block, verify_block};
use crate::volume::{VolumeMap, VolumeView};

/// The longest piece: eight full stripes of a large object. It is one request to another node, and no stripe is longer.
const PIECE_BYTES_MAX: u64 = 8 * (BLOB_HEAD_BYTES + BLOB_BLOCK_BYTES) as u64;
/// What the pieces of a window take together at most: the wider a code is, the shorter they are.
const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How much is read of each of so many columns.
pub(super) fn piece_bytes(columns: usize) -> u64 {
    let share = WINDOW_BYTES_MAX / u64::try_from(columns.max(1)).unwrap_or(u64::MAX);
    let share = share.min(PIECE_BYTES_MAX);
    share - share % BLOCK_ALIGNMENT_BYTES
}

/// What was read of one column.
#[derive(Debug)]
enum Piece {
    /// As much as there is: all of the window, or less if the file ends in it.
    Read(Bytes),
    /// The file or its drive is gone or wrong.
    Lost,
    /// It cannot be read now.
    Unknown,
}

/// Some bytes of a column.
enum Part {
    Here(Bytes),
    /// The file ends before them.
    Ended,
    Lost,
    Unknown,
}

impl Piece {
    fn slice(&self, start: usize, length_bytes: usize) -> Option<&[u8]> {
        match self {
            Self::Read(bytes) => bytes.get(start..start.checked_add(length_bytes)?),
            Self::Lost | Self::Unknown => None,
        }
    }

    fn part(&self, start: usize, length_bytes: usize) -> Part {
        match self {
            Self::Read(bytes) => match start.checked_add(length_bytes) {
                Some(end) if end <= bytes.len() => Part::Here(bytes.slice(start..end)),
                _ => Part::Ended,
            },
            Self::Lost => Part::Lost,
            Self::Unknown => Part::Unknown,
        }
    }
}

/// A long piece of every column.
#[derive(Debug)]
pub(super) struct Window {
    volume: VolumeId,
    from: u64,
    to: u64,
    pieces: Vec<Piece>,
}

/// How a walk goes on where a window tells no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    /// With a window that begins there.
    Window,
    /// By asking the columns: the stripe there is longer than a window, or a column that may have it could not be read.
    Asking,
}

/// The stripes of a window, as far as their headers tell.
#[derive(Debug)]
pub(super) struct Outline {
    stripes: Vec<(u64, BlockHeader)>,
    /// Where the window tells no more.
    pub(super) to: u64,
    pub(super) beyond: Beyond,
}

/// What a window tells of the bytes from `from` to `to`. Where no stripe begins, no column has a valid header.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) stripes: VecDeque<CheckedStripe>,
}

/// A stripe as far as the window has it.
#[derive(Debug)]
pub(super) struct CheckedStripe {
    pub(super) offset: u64,
    header: BlockHeader,
    /// By column.
    blocks: Vec<Option<VerifiedBlock>>,
    /// Columns that have to be asked again.
    unsure: Vec<u8>,
}

impl Window {
    /// Reads what lies between two places of every column.
    pub(super) async fn read(map: &VolumeMap, view: &VolumeView, (from, to): (u64, u64)) -> Self {
        let length_bytes = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        let reads = (0_u8..).take(view.drives.len()).map(|column| async move {
            let unknown = |error| {
                tracing::debug!(volume = %view.id, column, %error, "a column cannot be read ahead now");
                Piece::Unknown
            };
            match map.shard(view, column).await {
                // A sector that cannot be read is lost with its stripe, and not with all that is read together.
                Ok(shard) => shard.read(from, length_bytes).await.map_or_else(unknown, Piece::Read),
                Err(error) if error.is_lost() => Piece::Lost,
                Err(error) => unknown(error),
            }
        });
        Self { volume: view.id, from, to, pieces: join_all(reads).await }
    }

    /// Finds the stripes.
    pub(super) fn outline(&self) -> Outline {
        let is_unsure = self.pieces.iter().any(|piece| matches!(piece, Piece::Unknown));
        let mut stripes = Vec::new();
        let (mut at, mut beyond) = (self.from, Beyond::Window);
        while at < self.to {
            let Some(header) = self.header(at) else {
                if is_unsure {
                    beyond = Beyond::Asking;
                    break;
                }
                at += BLOCK_ALIGNMENT_BYTES;
                continue;
            };
            if at + (BLOCK_HEADER_LENGTH_BYTES as u64) + u64::from(header.body_length_bytes) > self.to {
                beyond = if at == self.from { Beyond::Asking } else { Beyond::Window };
                break;
            }
            let span_bytes = block_span_bytes(header.body_length_bytes);
            stripes.push((at, header));
            at += span_bytes;
        }
        Outline { stripes, to: at, beyond }
    }

    /// The header of the stripe at `at` in the first column that has a valid one.
    fn header(&self, at: u64) -> Option<BlockHeader> {
        let start = self.start(at)?;
        (0_u8..).zip(&self.pieces).find_map(|(column, piece)| {
            header_at(piece.slice(start, BLOCK_HEADER_LENGTH_BYTES)?, self.place(column, at))
        })
    }

    /// Checks every byte of the stripes that were found.
    pub(super) fn check(&self, outline: Outline) -> Checked {
        let stripes = outline.stripes.into_iter().filter_map(|(at, header)| self.stripe(at, header));
        Checked { from: self.from, to: outline.to, stripes: stripes.collect() }
    }

    fn stripe(&self, offset: u64, header: BlockHeader) -> Option<CheckedStripe> {
        let start = self.start(offset)?;
        let length_bytes = BLOCK_HEADER_LENGTH_BYTES + header.body_length_bytes as usize;
        let mut unsure = Vec::new();
        let is_written = |column: u8| header.columns_written & (1 << column) != 0;
        let mut blocks = Vec::with_capacity(self.pieces.len());
        for (column, piece) in (0_u8..).zip(&self.pieces) {
            let block = match piece.part(start, length_bytes) {
                Part::Here(bytes) => verify_block(&bytes, self.place(column, offset)),
                Part::Ended if !is_written(column) => None,
                Part::Lost => None,
                Part::Ended | Part::Unknown => {
                    unsure.push(column);
                    None
                }
            };
            blocks.push(block);
        }
        Some(CheckedStripe { offset, header, blocks, unsure })
    }

    fn start(&self, at: u64) -> Option<usize> {
        usize::try_from(at.checked_sub(self.from)?).ok()
    }

    fn place(&self, column: u8, stripe_offset: u64) -> BlockPlace {
        BlockPlace { volume: self.volume, column, stripe_offset }
    }
}

impl CheckedStripe {
    /// The stripe, when the columns that the window has not got were asked.
    pub(super) async fn complete(self, map: &VolumeMap, view: &VolumeView) -> Found {
        let Self { offset, header, blocks, unsure } = self;
        let length_bytes = BLOCK_HEADER_LENGTH_BYTES + header.body_length_bytes as usize;
        let reads = unsure.iter().map(|column| read_block(map, view, *column, offset, length_bytes));
        let mut answers: Vec<_> = blocks.into_iter().map(Ok).collect();
        for (column, answer) in unsure.iter().zip(join_all(reads).await) {
            if let Some(slot) = answers.get_mut(usize::from(*column)) {
                *slot = answer;
            }
        }
        Found::Stripe(Box::new(Stripe::of_answers(view, header, answers)))
    }
}
