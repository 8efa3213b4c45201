//! Events: what is to be told to somebody outside of a write, queued in the commit that makes the write true.

use granary_types::{BucketId, UnixMillis, VersionId, WriteId};
use serde::{Deserialize, Serialize};

use super::commit::{Outcome, Write};

/// Where an event is in the queue. The order of the fields is that of the queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventPlace {
    /// Whom it is for.
    pub target: String,
    /// The bucket that it is about.
    pub bucket: BucketId,
    /// When it happened.
    pub at: UnixMillis,
    /// Its own id, random.
    pub id: WriteId,
}

/// Queue an event. It is applied only if the last write before it in its commit that is no event was; otherwise the outcome is
/// [`Outcome::NoSuchKey`]. A delete that found nothing to delete does not count as applied. With no write before it, it
/// always is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// Where it goes.
    pub place: EventPlace,
    /// What is to be told. The store does not look into it.
    pub event: Vec<u8>,
}

/// What the commit made of the write that an event is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCause {
    /// The order of the version that was put, or the one behind that of the version that was deleted; 0 if there is none.
    pub order: u64,
    /// The delete marker, if the write left one.
    pub marker: Option<VersionId>,
}

/// An event in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedEvent {
    /// Where it is.
    pub place: EventPlace,
    /// What came of its write.
    pub cause: EventCause,
    /// What is to be told.
    pub event: Vec<u8>,
}

/// What the events of a commit are caused by, as its writes are applied one after the other.
#[derive(Debug)]
pub(crate) struct Causes {
    is_applied: bool,
    cause: EventCause,
}

impl Default for Causes {
    fn default() -> Self {
        Self { is_applied: true, cause: EventCause::default() }
    }
}

impl Causes {
    /// A write that is no event had this outcome.
    pub(crate) fn saw(&mut self, write: &Write, outcome: &Outcome) {
        self.is_applied = match (write, outcome) {
            (Write::Tag(_) | Write::Acl(_) | Write::Lock(_), Outcome::Done { .. }) => true,
            (
                Write::Delete(_) | Write::Remove(_) | Write::Erase(_) | Write::Expire(_),
                Outcome::Done { replaced, .. },
            ) => {
                let order = replaced.as_ref().map_or(0, |row| row.order.saturating_add(1));
                self.cause = EventCause { order, marker: None };
                replaced.is_some()
            }
            (_, Outcome::Done { order, .. }) => {
                self.cause = EventCause { order: *order, marker: None };
                true
            }
            (_, Outcome::Marked { version, order }) => {
                self.cause = EventCause { order: *order, marker: Some(*version) };
                true
            }
            _ => false,
        };
    }

    /// The event as it is queued, if it is.
    pub(crate) fn queued(&self, new: &NewEvent) -> Option<QueuedEvent> {
        let NewEvent { place, event } = new;
        let queued = QueuedEvent { place: place.clone(), cause: self.cause, event: event.clone() };
        self.is_applied.then_some(queued)
    }
}

/// The outcome of a write that queues an event.
pub(crate) fn event_outcome(is_queued: bool) -> Outcome {
    if is_queued { Outcome::Done { replaced: None, order: 0 } } else { Outcome::NoSuchKey }
}
