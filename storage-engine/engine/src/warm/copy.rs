//! Making copies.
//!
//! Packed objects are read stripe by stripe in the order of the volumes, many stripes at a time, and packed together again;
//! the packer commits what was packed together in one go. Large objects are copied piece by piece ([`super::large`]). Each copy
//! becomes true only if its version is still there and has none yet; what was copied for nothing is garbage that was never
//! alive.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use granary_metadata::{ObjectRow, PackedLocation, WarmChange, WarmKind, WarmPlace, WarmStep, Write};
use granary_types::{BucketId, ObjectKey, UnixMillis, VolumeId, crash_point};
use tokio::time::Instant;

use super::large::copy_or_tell;
use super::room::{Claims, is_done, make_room};
use super::under_way::HeldRoom;
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::failures::reason;
use crate::maintain::{Throttle, packed_entries};
use crate::tiers::Tier;
use crate::write::PackWrite;

/// Stripes of packed objects that are read, and packed again, together.
const STRIPES_TOGETHER: usize = 48;
/// Large objects that are copied at the same time.
const LARGE_TOGETHER: usize = 4;
/// Copies between two looks at the room.
const BATCH_BYTES: u64 = 256 << 20;
const BATCH_COPIES: usize = 32_768;

/// A version that is to have a copy.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) bucket: BucketId,
    pub(super) key: ObjectKey,
    pub(super) row: ObjectRow,
    pub(super) kind: WarmKind,
    pub(super) at: UnixMillis,
    /// What becomes true with the copy.
    pub(super) behind: Vec<Write>,
    /// The room that it takes, from when it is begun until it counts.
    room: Option<HeldRoom>,
}

impl Wish {
    pub(super) fn new(
        (bucket, key, row): (BucketId, ObjectKey, ObjectRow),
        kind: WarmKind,
        at: UnixMillis,
    ) -> Self {
        Self { bucket, key, row, kind, at, behind: Vec::new(), room: None }
    }

    /// With a write that becomes true with the copy.
    pub(super) fn with(mut self, write: Write) -> Self {
        self.behind.push(write);
        self
    }

    /// What was to become true with the copy.
    pub(super) fn into_behind(self) -> Vec<Write> {
        self.behind
    }

    pub(super) fn change(&self, step: WarmStep) -> WarmChange {
        let (version, write) = (self.row.object.version, self.row.object.write);
        WarmChange { bucket: self.bucket, key: self.key.clone(), version, write, step }
    }

    pub(super) fn place(&self, place: WarmPlace) -> WarmChange {
        self.change(WarmStep::Place { place, kind: self.kind, at: self.at })
    }

    fn length_bytes(&self) -> u64 {
        self.row.object.length_bytes
    }

    /// So many bytes more of the copy are there.
    pub(super) fn note_written(&self, bytes: u64) {
        if let Some(room) = &self.room {
            room.note_written(bytes);
        }
    }

    /// The copy is about to count, or will not come.
    pub(super) fn let_go_of_room(&self) {
        if let Some(room) = &self.room {
            room.let_go();
        }
    }
}

/// How urgently copies are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Somebody waits for them.
    Urgent,
    /// Slower than clients' traffic.
    Polite,
}

/// What became of a wish.
#[derive(Debug)]
pub(super) enum Made {
    /// The copy is there: so many bytes.
    Copy(u64),
    /// Its version was replaced meanwhile, or has a copy already.
    Changed,
    /// It could not be read or written now, and why.
    Failed(Box<Wish>, String),
    /// There was no room for it.
    NoRoom(Box<Wish>),
}

impl Made {
    /// Counts what became of a wish; a copy by this name.
    fn count(&self, copied: &'static str) {
        let outcome = match self {
            Self::Copy(_) => copied,
            Self::Changed => "changed",
            Self::Failed(..) => "failed",
            Self::NoRoom(_) => "no_room",
        };
        metrics::counter!("granary_warm_copies_total", "outcome" => outcome).increment(1);
    }

    fn copied_bytes(&self) -> u64 {
        if let Self::Copy(bytes) = self { *bytes } else { 0 }
    }
}

/// Makes copies, as far as there is room, and tells of each what became of it.
///
/// # Errors
/// When the metadata fails.
pub(super) async fn make_copies(
    inner: &Arc<Inner>,
    wishes: Vec<Wish>,
    (pace, claims): (Pace, Claims),
    tell: &mut (dyn FnMut(Made) + Send),
) -> Result<()> {
    let mut throttle = (pace == Pace::Polite).then(|| Throttle::new(inner));
    let copied = if matches!(claims, Claims::Fill { .. }) { "cached" } else { "copied" };
    let mut tell = |made: Made| {
        made.count(copied);
        tell(made);
    };
    let mut wishes = VecDeque::from(wishes);
    while !wishes.is_empty() {
        let wanted = whole_batch(&wishes).map(Wish::length_bytes).sum();
        let first = wishes.front().map_or(0, Wish::length_bytes);
        let room = make_room(inner, claims, (wanted, first)).await?;
        let (mut batch, mut bytes) = (Vec::new(), 0_u64);
        while let Some(mut wish) = wishes.pop_front_if(|wish| bytes + wish.length_bytes() <= room.bytes) {
            bytes += wish.length_bytes();
            wish.room = Some(inner.warm.under_way.hold(claims, wish.length_bytes()));
            batch.push(wish);
        }
        if batch.is_empty() {
            // What is smaller may still fit.
            let longest = room.next_bytes_max(first);
            let (fits, rest): (VecDeque<Wish>, VecDeque<Wish>) =
                wishes.into_iter().partition(|wish| wish.length_bytes() <= longest);
            wishes = fits;
            rest.into_iter().for_each(|wish| tell(Made::NoRoom(Box::new(wish))));
            continue;
        }
        Box::pin(make_batch(inner, batch, throttle.as_mut(), &mut tell)).await?;
    }
    Ok(())
}

/// The wishes that are looked at together.
fn whole_batch(wishes: &VecDeque<Wish>) -> impl Iterator<Item = &Wish> {
    let mut bytes = 0_u64;
    wishes.iter().take(BATCH_COPIES).take_while(move |wish| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add(wish.length_bytes());
        is_first || bytes <= BATCH_BYTES
    })
}

async fn make_batch(
    inner: &Arc<Inner>,
    batch: Vec<Wish>,
    mut throttle: Option<&mut Throttle>,
    tell: &mut (dyn FnMut(Made) + Send),
) -> Result<()> {
    let mut packed: BTreeMap<(VolumeId, u64), Vec<(PackedLocation, Wish)>> = BTreeMap::new();
    let mut large = Vec::new();
    for wish in batch {
        match wish.row.object.content.packed().cloned() {
            Some(at) => packed.entry((at.volume, at.stripe_offset)).or_default().push((at, wish)),
            None => large.push(wish),
        }
    }
    // Who is in no hurry rests after so many; others keep so many under way.
    let rest_after = if throttle.is_some() { STRIPES_TOGETHER } else { usize::MAX };
    let mut groups = packed.into_iter().peekable();
    while groups.peek().is_some() {
        let (began, mut bytes) = (Instant::now(), 0_u64);
        let copies = groups.by_ref().take(rest_after).map(|((volume, offset), wishes)| {
            let inner = Arc::clone(inner);
            // A task each: what is read is checked and packed on all cores.
            async move { tokio::spawn(async move { copy_stripe(&inner, volume, offset, wishes).await }).await }
        });
        let mut copies = stream::iter(copies).buffer_unordered(STRIPES_TOGETHER);
        while let Some(copied) = copies.next().await {
            for made in copied.map_err(|_| EngineError::Internal("copying a stripe panicked"))? {
                bytes = bytes.saturating_add(made.copied_bytes());
                tell(made);
            }
        }
        drop(copies);
        if let Some(throttle) = throttle.as_deref_mut() {
            throttle.pace(began, bytes).await;
        }
    }
    let copies = large.into_iter().map(|wish| {
        let inner = Arc::clone(inner);
        let throttle = throttle.is_some().then(|| Throttle::new(&inner));
        async move { copy_or_tell(&inner, wish, throttle).await }
    });
    // The rate of who is in no hurry is that of one after the other.
    let together = if throttle.is_some() { 1 } else { LARGE_TOGETHER };
    let mut copies = stream::iter(copies).buffer_unordered(together);
    while let Some(made) = copies.next().await {
        tell(made);
    }
    Ok(())
}

pub(super) fn failed(wish: Wish, error: &EngineError) -> Made {
    wish.let_go_of_room();
    if matches!(error, EngineError::NoSpace) {
        return Made::NoRoom(Box::new(wish));
    }
    tracing::warn!(key = %wish.key, %error, "a warm copy could not be made");
    let reason = reason(&wish.key, error);
    Made::Failed(Box::new(wish), reason)
}

/// Copies packed objects of one stripe.
async fn copy_stripe(
    inner: &Arc<Inner>,
    volume: VolumeId,
    offset: u64,
    wishes: Vec<(PackedLocation, Wish)>,
) -> Vec<Made> {
    let mut columns: Vec<u8> = wishes.iter().map(|(at, _)| at.column).collect();
    columns.sort_unstable();
    columns.dedup();
    let entries = match packed_entries(inner, volume, offset, &columns).await {
        Ok(entries) => entries,
        Err(error) => return wishes.into_iter().map(|(_, wish)| failed(wish, &error)).collect(),
    };
    let mut wanted: HashMap<PackedLocation, Wish> = wishes.into_iter().collect();
    let mut copies = Vec::with_capacity(wanted.len());
    for (at, entry, bytes) in entries {
        let Some(wish) = wanted.remove(&at) else { continue };
        copies.push(async move {
            let length_bytes = u64::from(at.length_bytes);
            crash_point("warm.after_copy_before_commit");
            // The place is filled in when it is known.
            let change = wish.place(WarmPlace::Packed(at));
            let write = PackWrite::Warm(Box::new(change), wish.behind.clone());
            wish.let_go_of_room();
            match inner.packer.write(Tier::Warm, bytes, entry.record, write).await {
                Ok(outcome) if is_done(&outcome) => Made::Copy(length_bytes),
                Ok(_) => Made::Changed,
                Err(error) => failed(wish, &error),
            }
        });
    }
    let mut made = join_all(copies).await;
    crash_point("warm.after_commit");
    // What is not where it was has been moved: it is looked for again another time.
    made.extend(wanted.into_values().map(|wish| {
        wish.let_go_of_room();
        let moved = EngineError::Unavailable { context: "copying: it was moved meanwhile" };
        let reason = reason(&wish.key, &moved);
        Made::Failed(Box::new(wish), reason)
    }));
    made
}
