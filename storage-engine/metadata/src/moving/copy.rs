//! Copying any export into any import.

use serde::Serialize;

use super::{CopyState, Difference, Digests, Export, Import, Place, Table};
use crate::error::{MetadataError, Result};
use crate::sqlite::failure::unavailable;

/// A step is made smaller or larger so that its entries take about this much; objects of 10,000 parts are long.
const STEP_BYTES: usize = 4 << 20;
const ROWS_MAX: u32 = 4_000;

/// How a copy is made.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// Entries of the first transaction; later ones have as many as fit into 4 MiB.
    pub rows: u32,
    /// At most so many entries in one transaction.
    pub rows_max: u32,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { rows: 500, rows_max: ROWS_MAX }
    }
}

/// What a copy is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Entries are stored in the target.
    Copying,
    /// The source is read again.
    ReadingSource,
    /// The target is read and compared.
    ReadingTarget,
}

/// How far a copy has come.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// With which table.
    pub table: Table,
    /// Entries done in this phase, those of an earlier try too.
    pub done: u64,
    /// Entries there are.
    pub total: u64,
}

/// What a copy did.
#[derive(Debug, Clone)]
pub struct CopyReport {
    /// Entries that an earlier try had stored.
    pub resumed_at: u64,
    /// The digests, the same on both sides.
    pub digests: Digests,
    /// Whether nothing was to be done: the target holds a complete copy of this very state.
    pub was_complete: bool,
}

/// The rows of the next step, by what the last one weighed.
struct Step {
    rows: u32,
    most: u32,
}

impl Step {
    fn weigh(&mut self, count: usize, bytes: usize) {
        let each = bytes.checked_div(count).unwrap_or(0).max(1);
        let fit = u32::try_from(STEP_BYTES.checked_div(each).unwrap_or(0)).unwrap_or(u32::MAX);
        // It grows slowly: the next entries may be longer than the last.
        self.rows = fit.min(self.rows.saturating_mul(2)).clamp(1, self.most);
    }
}

/// Reads everything and returns its digests.
///
/// # Errors
/// When the store cannot be read or a row is damaged.
pub async fn digests(from: &dyn Export, mut seen: impl FnMut(Table, u64)) -> Result<Digests> {
    let mut digests = Digests::default();
    let mut step = Step { rows: 500, most: ROWS_MAX };
    let mut done = 0_u64;
    for table in Table::ALL {
        let mut after: Option<Place> = None;
        loop {
            let page = from.page(table, after.as_ref(), step.rows).await?;
            let mut bytes = 0_usize;
            for entry in &page.entries {
                bytes = bytes.saturating_add(digests.add(entry)?);
            }
            step.weigh(page.entries.len(), bytes);
            done = done.saturating_add(u64::try_from(page.entries.len()).unwrap_or(0));
            seen(table, done);
            let Some(next) = page.next else { break };
            after = Some(next);
        }
    }
    Ok(digests)
}

/// Copies everything, or the rest of it, and verifies it. The target is left to be finished with
/// [`Import::finish`], so that the caller can retire the source in between; the returned state is what it takes.
///
/// # Errors
/// When one side cannot be read or written, the target holds another store's metadata, or both sides differ in the end.
pub async fn copy(
    from: &dyn Export,
    to: &dyn Import,
    options: CopyOptions,
    mut watch: impl FnMut(Progress),
) -> Result<(CopyReport, CopyState)> {
    let source = from.source().await?;
    let found = to.state().await?;
    let mut total = 0_u64;
    for table in Table::ALL {
        total = total.saturating_add(from.count(table).await?);
    }
    let state = match found {
        Some(state) if state.source == source => state,
        _ => {
            let fresh = CopyState { source, at: Some((Table::Drives, None)), stored: 0, complete: false };
            to.begin(&fresh).await?;
            fresh
        }
    };
    let resumed_at = state.stored;
    let was_complete = state.complete;
    let state = fill(from, to, state, options, total, &mut watch).await?;
    let (phase, last) = (Phase::ReadingSource, Table::Parts);
    let theirs = digests(from, |table, done| watch(Progress { phase, table, done, total })).await?;
    watch(Progress { phase, table: last, done: total, total });
    if was_complete {
        // It may have been written to since: only what was to be copied is known to have been right.
        return Ok((CopyReport { resumed_at, digests: theirs, was_complete }, state));
    }
    let phase = Phase::ReadingTarget;
    let ours = digests(to, |table, done| watch(Progress { phase, table, done, total })).await?;
    watch(Progress { phase, table: last, done: total, total });
    let differences = theirs.differences(&ours);
    if let Some(first) = differences.first() {
        return Err(differ(first, differences.len()));
    }
    Ok((CopyReport { resumed_at, digests: theirs, was_complete }, state))
}

fn differ(first: &Difference, count: usize) -> MetadataError {
    let Difference { table, bucket, source_count, target_count } = first;
    let bucket = bucket.as_ref().map(|id| format!(" of bucket {id}")).unwrap_or_default();
    unavailable(
        "verifying the copy",
        format!(
            "source and target differ in {count} places, first in {}{bucket}: {source_count} and {target_count} entries; \
             the target was not taken into use. Something may have written to one of them meanwhile",
            table.name()
        ),
    )
}

async fn fill(
    from: &dyn Export,
    to: &dyn Import,
    mut state: CopyState,
    options: CopyOptions,
    total: u64,
    watch: &mut impl FnMut(Progress),
) -> Result<CopyState> {
    let mut step = Step { rows: options.rows.clamp(1, options.rows_max), most: options.rows_max.max(1) };
    while let Some((table, after)) = &state.at {
        let table = *table;
        let page = from.page(table, after.as_ref(), step.rows).await?;
        let at = match page.next {
            Some(next) => Some((table, Some(next))),
            None => following(table).map(|next| (next, None)),
        };
        let count = u64::try_from(page.entries.len()).unwrap_or(0);
        let next = CopyState { at, stored: state.stored.saturating_add(count), ..state.clone() };
        to.store(&page.entries, &state, &next).await?;
        let mut weight = Digests::default();
        let bytes = page.entries.iter().map(|entry| weight.add(entry)).sum::<Result<usize>>()?;
        step.weigh(page.entries.len(), bytes);
        watch(Progress { phase: Phase::Copying, table, done: next.stored, total });
        state = next;
    }
    Ok(state)
}

fn following(table: Table) -> Option<Table> {
    Table::ALL.into_iter().find(|next| *next > table)
}
