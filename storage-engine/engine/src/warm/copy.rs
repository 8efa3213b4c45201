//! Making copies.
//!
//! Packed objects are read in the order of the volumes, in long pieces where they lie close together, and packed together again; the
//! packer commits what was packed together in one go. Large objects are copied piece by piece ([`super::large`]). Each copy
//! becomes true only if its version is still there and has none yet; what was copied for nothing is garbage that was never
//! alive.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use granary_metadata::{ObjectRow, PackedLocation, WarmChange, WarmKind, WarmPlace, WarmStep, Write};
use granary_types::{BucketId, ObjectKey, UnixMillis, crash_point};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::large::copy_or_tell;
use super::room::{Claims, is_done, make_room};
use super::under_way::HeldRoom;
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::failures::reason;
use crate::maintain::{Entry, Stretch, Stripes, Throttle, stretches};
use crate::tiers::Tier;
use crate::write::PackWrite;

/// Stretches of packed objects that are read, and packed again, together, as far as there is memory for them.
const STRETCHES_TOGETHER: usize = 48;
/// What they may take, unless stripes are read by themselves.
const MEMORY_BYTES: u64 = 32 << 20;
/// Stripes that are read by who rests in between.
const STRIPES_BEFORE_REST: usize = 48;
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
    let (mut packed, mut large) = (Stripes::new(), Vec::new());
    for wish in batch {
        match wish.row.object.content.packed().cloned() {
            Some(at) => packed.entry((at.volume, at.stripe_offset)).or_default().push((at, wish)),
            None => large.push(wish),
        }
    }
    let mut packed = VecDeque::from(stretches(packed));
    // Who is in no hurry rests after so many; others keep as many under way as they may.
    let stripes_max = if throttle.is_some() { STRIPES_BEFORE_REST } else { usize::MAX };
    while !packed.is_empty() {
        let (began, mut bytes) = (Instant::now(), 0_u64);
        let mut tell = |made: Made| {
            bytes = bytes.saturating_add(made.copied_bytes());
            tell(made);
        };
        copy_stretches(inner, portion(&mut packed, stripes_max), &mut tell).await?;
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

/// A stretch and the wishes in it.
type Wishes = (Stretch, Vec<(PackedLocation, Wish)>);

/// Takes stretches of so many stripes together, or one that is longer.
fn portion(ahead: &mut VecDeque<Wishes>, stripes_max: usize) -> Vec<Wishes> {
    let mut stripes = 0_usize;
    let mut fits = |(stretch, _): &mut Wishes| {
        let is_first = stripes == 0;
        stripes = stripes.saturating_add(stretch.stripes());
        is_first || stripes <= stripes_max
    };
    std::iter::from_fn(|| ahead.pop_front_if(&mut fits)).collect()
}

/// Copies packed objects, many stretches at a time.
async fn copy_stretches(
    inner: &Arc<Inner>,
    ahead: Vec<Wishes>,
    tell: &mut (dyn FnMut(Made) + Send),
) -> Result<()> {
    let memory = Arc::new(Semaphore::new(usize::try_from(MEMORY_BYTES).unwrap_or(Semaphore::MAX_PERMITS)));
    let copies = ahead.into_iter().map(|(stretch, wishes)| {
        let (inner, memory) = (Arc::clone(inner), Arc::clone(&memory));
        let bytes = u32::try_from(stretch.memory_bytes().min(MEMORY_BYTES)).unwrap_or(u32::MAX);
        // A task each: what is read is checked and packed on all cores.
        async move {
            let held = memory.acquire_many_owned(bytes).await;
            tokio::spawn(async move {
                let _held = held;
                copy_stretch(&inner, &stretch, wishes).await
            })
            .await
        }
    });
    let mut copies = stream::iter(copies).buffer_unordered(STRETCHES_TOGETHER);
    while let Some(copied) = copies.next().await {
        copied
            .map_err(|_| EngineError::Internal("copying packed objects panicked"))?
            .into_iter()
            .for_each(&mut *tell);
    }
    Ok(())
}

/// Copies packed objects of one stretch.
async fn copy_stretch(
    inner: &Arc<Inner>,
    stretch: &Stretch,
    wishes: Vec<(PackedLocation, Wish)>,
) -> Vec<Made> {
    let mut wanted: HashMap<PackedLocation, Wish> = wishes.into_iter().collect();
    let (mut copies, mut made) = (Vec::with_capacity(wanted.len()), Vec::new());
    for (offset, entries) in stretch.read(&inner.map).await {
        match entries {
            Ok(entries) => {
                let found = entries.into_iter().filter_map(|entry| Some((wanted.remove(&entry.0)?, entry)));
                copies.extend(found.map(|(wish, entry)| copy_entry(inner, wish, entry)));
            }
            Err(error) => {
                let lost = wanted.extract_if(|at, _| at.stripe_offset == offset);
                made.extend(lost.map(|(_, wish)| failed(wish, &error)));
            }
        }
    }
    made.extend(join_all(copies).await);
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

async fn copy_entry(inner: &Inner, wish: Wish, (at, entry, bytes): Entry) -> Made {
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
}
