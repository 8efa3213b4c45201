//! Columns that are rebuilt while their volume is walked, several in one pass.
//!
//! Each goes into a new file, block by block from the others, checked.

use std::sync::Arc;

use bytes::Bytes;
use granary_cluster::access::{DriveAccess, ReplacementAccess, ShardAccess};
use granary_drive::{BlobRecords, BlockHeader, BlockKind, DriveError, PackedRecords, ShardName};

use super::new_file::NewFile;
use super::walk::{Step, Walk};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::layout::BLOB_RECORDS_BYTES;
use crate::read::{Records, Stripe, VerifiedBlock, verify_body};
use crate::volume::VolumeView;

/// A column that is rebuilt.
pub(super) struct Rebuild {
    pub(super) column: u8,
    pub(super) target: Arc<dyn DriveAccess>,
    old: Old,
    stays: Stays,
    state: State,
}

/// The damaged file. If the column stays on its drive, what cannot be rebuilt is copied from it as it is, so that no readable
/// unit is lost.
enum Old {
    File(Arc<dyn ShardAccess>),
    Gone,
    /// It could not be opened now: nothing that cannot be rebuilt may take its place.
    Unopened,
}

impl Old {
    fn of(opened: std::result::Result<Arc<dyn ShardAccess>, DriveError>) -> Self {
        match opened {
            Ok(file) => Self::File(file),
            Err(error) if error.is_lost() => Self::Gone,
            Err(_) => Self::Unopened,
        }
    }
}

/// Whether the column stays on its drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Yes,
    No,
}

enum State {
    Going(NewFile),
    /// It would have holes that what is there may not have, or was rebuilt wrong: what is there stays.
    Unplaced,
    Failed(EngineError),
}

impl Rebuild {
    /// Begins to rebuild a column on `target`. That the drive takes no file is told at the end: the others go on.
    pub(super) async fn begin(
        inner: &Inner,
        view: &VolumeView,
        column: u8,
        target: Arc<dyn DriveAccess>,
    ) -> Self {
        let name = ShardName { volume: view.id, column };
        let is_own = view.drive(column) == Some(target.id());
        let stays = if is_own { Stays::Yes } else { Stays::No };
        let old = Old::of(inner.map.shard(view, column).await);
        let state = match target.create_replacement(name, view.profile_columns()).await {
            Ok(replacement) => State::Going(NewFile::new(replacement)),
            Err(error) => State::Failed(error.into()),
        };
        Self { column, target, old, stays, state }
    }

    fn is_going(&self) -> bool {
        matches!(self.state, State::Going(_))
    }

    /// Takes what a step of the walk (from, to) has of the column: its block, if there is one or it could be rebuilt.
    async fn take(&mut self, (from, to): (u64, u64), block: Option<&VerifiedBlock>) {
        let State::Going(file) = &mut self.state else { return };
        let taken = match (block, &self.old) {
            (Some(block), _) => file.add(from, block).await,
            (None, old) if self.stays == Stays::No || matches!(old, Old::Unopened) => {
                self.state = State::Unplaced;
                return;
            }
            (None, Old::File(old)) => file.copy_raw(old.as_ref(), from, to).await,
            (None, _) => Ok(()),
        };
        if let Err(error) = taken {
            self.state = State::Failed(error);
        }
    }

    /// The whole file, to be installed; `None` if it would have holes that what is there may not have.
    pub(super) async fn finish(self) -> Result<Option<Arc<dyn ReplacementAccess>>> {
        match self.state {
            State::Going(file) => file.finish().await.map(Some),
            State::Unplaced => Ok(None),
            State::Failed(error) => Err(error),
        }
    }
}

/// Walks a volume to `end`, shows every step to `see`, and fills what is rebuilt of it.
///
/// # Errors
/// When a column cannot be read for a reason that may pass, or what is rebuilt is not what its hashes say.
pub(super) async fn walk_and_rebuild(
    inner: &Inner,
    view: &Arc<VolumeView>,
    end: u64,
    rebuilds: &mut [Rebuild],
    mut see: impl FnMut(&Step),
) -> Result<()> {
    let mut walk = Walk::new(Arc::clone(view), end);
    while let Some(step) = walk.next(&inner.map).await? {
        see(&step);
        match &step {
            Step::Stripe(stripe) => take_stripe(rebuilds, stripe, view).await?,
            Step::Gap { from, to } => {
                for rebuild in rebuilds.iter_mut() {
                    rebuild.take((*from, *to), None).await;
                }
            }
        }
    }
    Ok(())
}

async fn take_stripe(rebuilds: &mut [Rebuild], stripe: &Stripe, view: &VolumeView) -> Result<()> {
    let mut taking: Vec<&mut Rebuild> = rebuilds
        .iter_mut()
        .filter(|rebuild| rebuild.is_going() && stripe.is_written(rebuild.column))
        .collect();
    if taking.is_empty() {
        return Ok(());
    }
    let columns: Vec<u8> = taking.iter().map(|rebuild| rebuild.column).collect();
    let blocks = blocks_of(stripe, view, &columns)?;
    let from = stripe.header.stripe_offset;
    let place = (from, from + stripe.span_bytes());
    for (rebuild, block) in taking.iter_mut().zip(blocks) {
        match block {
            Ok(block) => rebuild.take(place, block.as_ref()).await,
            // Its file stays as it is. The other columns go on.
            Err(error) => {
                tracing::error!(%error, "a column that was rebuilt is not what its hashes say");
                rebuild.state = State::Unplaced;
            }
        }
    }
    Ok(())
}

/// The block as it should be on the drive; `None` if too little of the stripe is left.
///
/// # Errors
/// When what was rebuilt is not what its hashes say.
pub(crate) fn block_of(stripe: &Stripe, view: &VolumeView, column: u8) -> Result<Option<VerifiedBlock>> {
    blocks_of(stripe, view, &[column])?.pop().unwrap_or(Ok(None))
}

/// The blocks of these columns, all of which the stripe has written.
pub(super) fn blocks_of(
    stripe: &Stripe,
    view: &VolumeView,
    columns: &[u8],
) -> Result<Vec<Result<Option<VerifiedBlock>>>> {
    let sound = |column: u8| stripe.blocks.get(usize::from(column)).and_then(Option::as_ref);
    let lost: Vec<u8> = columns.iter().copied().filter(|column| sound(*column).is_none()).collect();
    let bodies = if lost.is_empty() { Vec::new() } else { rebuild_bodies(stripe, view, &lost)? };
    let mut bodies = bodies.into_iter();
    let block = |column: u8| match sound(column) {
        Some(block) => Ok(Some(block.clone())),
        None => bodies.next().map(|body| rebuilt_block(stripe, view, column, body)).transpose(),
    };
    Ok(columns.iter().copied().map(block).collect())
}

/// What the blocks hold; nothing if too little of the stripe is left.
fn rebuild_bodies(stripe: &Stripe, view: &VolumeView, lost: &[u8]) -> Result<Vec<Bytes>> {
    match stripe.rebuild(view, lost) {
        Err(EngineError::Unreadable { context }) => {
            tracing::error!(%context, "a stripe cannot be rebuilt");
            Ok(Vec::new())
        }
        Ok(bodies) if bodies.len() != lost.len() => Err(EngineError::Internal("nothing was rebuilt")),
        other => other,
    }
}

fn rebuilt_block(stripe: &Stripe, view: &VolumeView, column: u8, body: Bytes) -> Result<VerifiedBlock> {
    let header = header_for(stripe, column, &body);
    let block = header.and_then(|header| {
        if header.is_parity() {
            // Its hash was just taken of it.
            return Some(VerifiedBlock { header, records: Records::Parity, body });
        }
        verify_body(header, body)
    });
    block.ok_or_else(|| EngineError::Unreadable {
        context: format!(
            "column {column} of stripe {} of volume {} as rebuilt",
            stripe.header.stripe, view.id
        ),
    })
}

/// The header of a rebuilt block: of the stripe, with what the body says of itself.
fn header_for(stripe: &Stripe, column: u8, body: &Bytes) -> Option<BlockHeader> {
    let mut header =
        BlockHeader { column, records_length_bytes: 0, data_length_bytes: 0, ..stripe.header.clone() };
    if header.is_parity() {
        header.hash = *blake3::hash(body).as_bytes();
        return Some(header);
    }
    match header.kind {
        BlockKind::Packed => {
            let (records, length) = PackedRecords::decode_with_length(body)?;
            header.records_length_bytes = u32::try_from(length).ok()?;
            header.data_length_bytes = records.entries.iter().map(|entry| entry.length_bytes).sum();
        }
        BlockKind::Blob => {
            header.records_length_bytes = BLOB_RECORDS_BYTES;
            header.data_length_bytes = BlobRecords::decode(body)?.length_bytes;
        }
    }
    header.hash = *blake3::hash(body.get(..header.records_length_bytes as usize)?).as_bytes();
    Some(header)
}

#[cfg(test)]
#[path = "rebuild_tests.rs"]
mod tests;
