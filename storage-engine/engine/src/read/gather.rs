//! Reading as much of a stripe as it takes, from whoever answers: any k columns give all the others.
//!
//! With drives of other nodes, one that says nothing must not hold up a read. Columns on drives that seem well are asked
//! first, no more than are needed; for each that fails, or is slow, another is asked.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use granary_drive::BLOCK_HEADER_LENGTH_BYTES;

use super::stripe::{Found, Stripe, read_block, read_header, read_stripe};
use crate::volume::{VolumeMap, VolumeView};

/// How long a drive may take before others are asked in its place.
pub(super) const HEDGE_AFTER: Duration = Duration::from_millis(400);

/// Reads enough of the stripe at `offset` to rebuild the rest. On one machine, all of it.
pub(crate) async fn gather_stripe(map: &VolumeMap, view: &Arc<VolumeView>, offset: u64) -> Found {
    if !map.is_shared() {
        return read_stripe(map, view, offset).await;
    }
    let columns = map.by_health(view);
    let header = |column| async move { read_header(map, view, column, offset).await };
    let (mut headers, silent) = race(&columns, 1, header).await;
    let Some((_, header)) = headers.pop() else {
        return if silent > 0 { Found::Unknown(silent) } else { Found::Nothing };
    };
    let (written, unwritten): (Vec<u8>, Vec<u8>) =
        columns.iter().partition(|column| header.columns_written & (1 << **column) != 0);
    let needed = view.codec.profile().data().saturating_sub(unwritten.len());
    let length = BLOCK_HEADER_LENGTH_BYTES + header.body_length_bytes as usize;
    let block = |column| async move { read_block(map, view, column, offset, length).await };
    let (found, silent) = race(&written, needed, block).await;
    let mut blocks: Vec<_> = view.drives.iter().map(|_| None).collect();
    for (column, block) in found {
        if let Some(slot) = blocks.get_mut(usize::from(column)) {
            *slot = Some(block);
        }
    }
    Found::Stripe(Box::new(Stripe { header, blocks, uncertain: silent > 0 }))
}

/// Asks columns until `needed` have given something. Also says how many could not be asked for a reason that may pass.
async fn race<T, E, F>(columns: &[u8], needed: usize, ask: impl Fn(u8) -> F) -> (Vec<(u8, T)>, usize)
where
    F: Future<Output = Result<Option<T>, E>>,
{
    let tagged = |column: u8| {
        let asked = ask(column);
        async move { (column, asked.await) }
    };
    let mut next = columns.iter().copied();
    let mut asked: FuturesUnordered<_> = next.by_ref().take(needed).map(&tagged).collect();
    let (mut found, mut silent) = (Vec::with_capacity(needed), 0);
    while found.len() < needed {
        let answer = tokio::time::timeout(HEDGE_AFTER, asked.next()).await;
        match answer {
            Ok(Some((column, Ok(Some(value))))) => {
                found.push((column, value));
                continue;
            }
            Ok(Some((_, result))) => silent += usize::from(result.is_err()),
            // All that were asked have answered, and nobody is left.
            Ok(None) if next.len() == 0 => break,
            Ok(None) | Err(_) => {}
        }
        asked.extend(next.next().map(&tagged));
    }
    (found, silent)
}

/// The answer, unless it takes so long that others should be asked.
pub(super) async fn hedged<T>(map: &VolumeMap, reading: impl Future<Output = T>) -> Option<T> {
    if !map.is_shared() {
        return Some(reading.await);
    }
    tokio::time::timeout(HEDGE_AFTER, reading).await.ok()
}
