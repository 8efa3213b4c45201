//! How far a walk has come, when the next one is due, and what a walk has left behind to be tried again.

use std::time::Duration;

use granary_metadata::Bucket;
use granary_types::{UnixMillis, UploadId};
use serde::{Deserialize, Serialize};

use super::worker::document;
use super::{DayLength, RULES};
use crate::engine::Inner;
use crate::error::Result;
use crate::failures::Failures;
use crate::transit::Moved;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How many walks there are in a debugged day.
pub(super) const WALKS_PER_DEBUG_DAY: u32 = 10;
/// How long what could not be moved is left alone after the first try; twice as long after each other one.
const RETRY_FIRST: Duration = Duration::from_mins(5);
const RETRY_MAX: Duration = Duration::from_hours(1);

/// Before all versions of a key: higher than any order, as far as databases count.
const ORDER_MAX: u64 = i64::MAX.cast_unsigned();

/// What is walked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    #[default]
    Versions,
    Uploads,
    Done,
}

/// How far a walk has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The hash of the rules that are followed.
    rules: String,
    /// When the walk began.
    began_ms: i64,
    pub(super) stage: Stage,
    /// The prefix that is walked; `None` before the first.
    pub(super) prefix: Option<String>,
    /// The last key looked at.
    pub(super) after: Option<String>,
    /// The order of the last version looked at.
    pub(super) order: Option<u64>,
    /// The last upload looked at.
    pub(super) upload: Option<UploadId>,
    /// How many older versions of the last key were met, and when the last version met was written.
    pub(super) older_met: u32,
    pub(super) replaced_ms: Option<i64>,
    /// What this walk has left behind so far, or the last one, if that is done.
    #[serde(default)]
    left: Option<Left>,
    /// Where a walk ends that only tries again what another left behind.
    #[serde(default)]
    until: Option<Spot>,
    /// When what was left behind is tried again.
    #[serde(default)]
    retry_ms: Option<i64>,
    /// How many tries of it have left something behind.
    #[serde(default)]
    retries: u32,
    /// When the last walk over all keys began that followed these rules to the end.
    #[serde(default)]
    ended_ms: Option<i64>,
    /// What was left behind waits for a walk of moves that began then or later.
    #[serde(default)]
    waits_ms: Option<i64>,
    /// What this walk has moved so far, and could not move, or the last one, if that is done.
    #[serde(default)]
    moved: u64,
    #[serde(default)]
    failures: Failures,
    /// How many it moves now: these lie behind the place, which is kept again when they are moved.
    #[serde(default)]
    moving: u64,
}

/// How far the moves of a bucket's versions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveProgress {
    /// Whether a walk is under way; otherwise what failed waits for the next.
    pub(crate) is_running: bool,
    /// When a walk over all keys began last.
    pub(crate) since: UnixMillis,
    /// How many versions were moved.
    pub(crate) moved: u64,
    /// Those that could not be.
    pub(crate) failures: Failures,
    /// How many are moved now.
    pub(crate) moving: u64,
}

/// A place between keys: the prefix that is walked, and the last key before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Spot {
    prefix: Option<String>,
    after: Option<String>,
}

/// Versions that could not be moved, or wait to be moved before they expire, lie between these places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Left {
    from: Spot,
    to: Spot,
}

impl Place {
    /// That of a walk that is over and was none.
    pub(super) fn none() -> Self {
        Self { stage: Stage::Done, ..Self::default() }
    }

    /// The beginning of the keys with that prefix.
    pub(super) fn enter(&mut self, prefix: String) {
        self.forget_position();
        self.prefix = Some(prefix);
    }

    /// The beginning of that stage.
    pub(super) fn begin(&mut self, stage: Stage) {
        self.forget_position();
        self.stage = stage;
    }

    fn forget_position(&mut self) {
        (self.prefix, self.after, self.order, self.upload) = (None, None, None, None);
        (self.older_met, self.replaced_ms) = (0, None);
    }

    fn spot(&self) -> Spot {
        Spot { prefix: self.prefix.clone(), after: self.after.clone() }
    }

    /// Notes that something was left behind between `before` and here.
    pub(super) fn note_left(&mut self, before: &Self) {
        let to = self.spot();
        let from = self.left.take().map_or_else(|| before.spot(), |left| left.from);
        self.left = Some(Left { from, to });
    }

    /// Notes what became of the moves between `before` and here.
    pub(super) fn note_moved(&mut self, moved: Moved, before: &Self) {
        if moved.left > 0 {
            self.note_left(before);
        }
        self.moved = self.moved.saturating_add(moved.done);
        self.failures.merge(moved.failures);
    }

    /// The place while so many versions behind it are moved, which may take long.
    pub(super) fn while_moving(self, moving: u64) -> Self {
        Self { moving, ..self }
    }

    /// Whether this walk of moves failed in something, or moves something or has, and goes on.
    pub(super) fn has_progress(&self) -> bool {
        self.failures.count > 0 || (self.stage != Stage::Done && (self.moved > 0 || self.moving > 0))
    }

    /// How far this walk of moves is, if there is something to tell and it follows `rules`.
    pub(super) fn progress(self, rules: &str) -> Option<MoveProgress> {
        (self.has_progress() && self.rules == rules).then_some(MoveProgress {
            is_running: self.stage != Stage::Done,
            since: UnixMillis(self.began_ms),
            moved: self.moved,
            failures: self.failures,
            moving: self.moving,
        })
    }

    /// Notes that between `before` and here something is to be moved, by a walk that begins at `since` or later, before it expires.
    pub(super) fn note_waiting(&mut self, before: &Self, since: UnixMillis) {
        self.note_left(before);
        self.waits_ms = Some(self.waits_ms.map_or(since.0, |earlier| earlier.min(since.0)));
    }

    /// Whether this walk is over, and something that it left behind waits for moves no more.
    pub(super) fn has_waited(&self, moves: &Self) -> bool {
        let waited = |since| moves.has_ended_since(UnixMillis(since), self);
        self.stage == Stage::Done && self.left.is_some() && self.waits_ms.is_some_and(waited)
    }

    /// Whether this is a walk that tries again what another has left behind.
    pub(super) fn is_retry(&self) -> bool {
        self.until.is_some()
    }

    /// Whether this is a walk that tries again, and everything that was left behind lies before here.
    pub(super) fn is_behind_retry(&self) -> bool {
        self.until.as_ref().is_some_and(|until| self.spot() > *until)
    }

    /// The walk is done. What it left behind is tried again before the next is due, later from time to time; what waits for
    /// moves, when these have ended.
    pub(super) fn end(&mut self, now: UnixMillis) {
        if self.until.take().is_none() {
            self.ended_ms = Some(self.began_ms);
        }
        if self.left.is_none() || self.waits_ms.is_some() {
            (self.retry_ms, self.retries) = (None, 0);
            return;
        }
        let pause = RETRY_FIRST.saturating_mul(1 << self.retries.min(16)).min(RETRY_MAX);
        self.retry_ms = Some(now.0.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)));
        self.retries = self.retries.saturating_add(1);
    }

    /// Where the walk goes on that is due, or where a new one begins.
    pub(super) fn next_walk(self, rules: String, day: DayLength, now: UnixMillis) -> Self {
        let is_same = self.rules == rules;
        if self.stage != Stage::Done && is_same {
            return self;
        }
        match self.left.clone() {
            // Only the part of the keys where something was left behind is walked again.
            Some(left) if is_same && !self.is_walk_due(day, now) => Self {
                stage: Stage::Versions,
                order: left.from.after.as_ref().map(|_| ORDER_MAX),
                prefix: left.from.prefix,
                after: left.from.after,
                until: Some(left.to),
                left: None,
                retry_ms: None,
                waits_ms: None,
                moved: 0,
                failures: Failures::default(),
                ..self
            },
            _ => {
                let ended_ms = self.last_ended_ms().filter(|_| is_same);
                Self { rules, began_ms: now.0, ended_ms, ..Self::default() }
            }
        }
    }

    /// Begins the key anew within which a former walk was cut off: how many of its older versions there are now, and when
    /// each was replaced, is not what it was then.
    pub(super) fn resume(&mut self) {
        self.moving = 0;
        if self.stage == Stage::Versions && self.order.is_some() {
            self.order = Some(ORDER_MAX);
            (self.older_met, self.replaced_ms) = (0, None);
        }
    }

    /// Whether a walk over all keys has ended that began at `at` or later, whatever it left behind and whichever walk is under way
    /// since, and followed the rules that `other` follows.
    pub(super) fn has_ended_since(&self, at: UnixMillis, other: &Self) -> bool {
        self.last_ended_ms().is_some_and(|began| began >= at.0) && self.rules == other.rules
    }

    fn last_ended_ms(&self) -> Option<i64> {
        // Older releases noted no more than that it was over.
        self.ended_ms.or((self.stage == Stage::Done).then_some(self.began_ms))
    }

    /// Whether the bucket's rules are still those that the walk began with.
    pub(super) async fn rules_stand(&self, inner: &Inner, bucket: &Bucket) -> Result<bool> {
        let now = document(inner, bucket, RULES).await?;
        Ok(now.is_some_and(|document| hash_of(&document) == self.rules))
    }

    pub(super) fn is_due(&self, rules: &str, day: DayLength, now: UnixMillis) -> bool {
        let retry = self.retry_ms.is_some_and(|at| at <= now.0);
        self.stage != Stage::Done || self.is_walk_due(day, now) || retry || self.rules != rules
    }

    /// Whether days have ended since the last walk over all keys began.
    fn is_walk_due(&self, day: DayLength, now: UnixMillis) -> bool {
        match day {
            DayLength::Real => self.began_ms < now.0 - now.0.rem_euclid(DAY_MS),
            DayLength::Debug(length) => {
                let pause = i64::try_from((length / WALKS_PER_DEBUG_DAY).as_millis()).unwrap_or(i64::MAX);
                self.began_ms.saturating_add(pause) <= now.0
            }
        }
    }
}

pub(super) fn hash_of(document: &[u8]) -> String {
    blake3::hash(document).to_hex().to_string()
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
