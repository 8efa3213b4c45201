//! Events: a bucket's rules say which changes of its objects are told to which of the targets that the operator named.
//!
//! An event is queued by the commit that makes the change true, and only if that is made; so it is told at least once, whoever
//! dies between. What sends them ([`Engine::queued_events`]) takes them out of the queue when they were received. Without
//! targets none of this costs anything. A target's queue is bounded: when it is full, what happens is not queued for it any
//! more, which is logged and counted.

mod classes;
mod rules;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use granary_metadata::{
    Bucket, Commit, EventCause, EventPlace, NewEvent, NewObject, QueuedEvent, RemoveObject, Write,
};
use granary_types::{BucketId, BucketName, Etag, ObjectKey, UnixMillis, VersionId, WriteId};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::configurations::OneConfiguration;
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};

pub use rules::{DestinationKind, EventKind, NotificationRule, NotificationRules};

/// The name of the rules among the configurations of a bucket.
pub const NOTIFICATIONS: &str = "notifications/";

/// Which event a put is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CreatedBy {
    /// A PUT.
    #[default]
    Put,
    /// A form.
    Post,
    /// A copy.
    Copy,
}

/// Who or what caused an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Whose request it was.
    pub principal: String,
    /// Where it came from.
    pub address: String,
    /// Its id.
    pub request_id: String,
    /// What names the server.
    pub host_id: String,
    /// What a put of it is.
    pub created_by: CreatedBy,
}

/// An event as it is kept until it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened, as far as was known before the commit.
    pub kind: EventKind,
    /// The bucket.
    pub bucket: BucketName,
    /// Whose bucket it is.
    pub owner: String,
    /// The bucket's region.
    pub region: String,
    /// The rule that asked for it.
    pub rule: String,
    /// The key; empty for tests of targets.
    pub key: String,
    /// The version, if it is shown and known before the commit.
    pub version: Option<VersionId>,
    /// The object's length and entity tag, where one was put.
    pub object: Option<(u64, Etag)>,
    /// Who caused it.
    pub origin: Origin,
}

/// An event that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingEvent {
    /// Where it is in the queue, which also tells when it happened, and an id for the receiver to know it by.
    pub place: EventPlace,
    /// What came of its write.
    pub cause: EventCause,
    /// What to tell; `None` if it cannot be read.
    pub event: Option<Event>,
}

impl From<QueuedEvent> for WaitingEvent {
    fn from(queued: QueuedEvent) -> Self {
        let event = postcard::from_bytes(&queued.event).ok();
        Self { place: queued.place, cause: queued.cause, event }
    }
}

/// The targets that the operator named, how full their queues are, and what buckets tell them.
#[derive(Default)]
pub(crate) struct Targets {
    rules: OneConfiguration<NotificationRules>,
    full: HashMap<String, AtomicBool>,
    queued: Notify,
}

impl Targets {
    pub(crate) fn new(names: &[String]) -> Self {
        let full = names.iter().map(|name| (name.clone(), AtomicBool::new(false))).collect();
        Self { full, ..Self::default() }
    }

    /// Whether any event can be told at all.
    pub(crate) fn are_named(&self) -> bool {
        !self.full.is_empty()
    }

    fn is_full(&self, target: &str) -> bool {
        self.full.get(target).is_some_and(|full| full.load(Ordering::Relaxed))
    }
}

/// What an event is about.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) kind: EventKind,
    pub(crate) key: &'a ObjectKey,
    pub(crate) version: Option<VersionId>,
    pub(crate) object: Option<&'a NewObject>,
}

impl<'a> Subject<'a> {
    /// A version that is put.
    pub(crate) fn created(kind: EventKind, key: &'a ObjectKey, object: &'a NewObject) -> Self {
        let version = Some(object.version).filter(|version| !version.is_null());
        Self { kind, key, version, object: Some(object) }
    }

    /// A key or a version of it to which something else is done.
    pub(crate) fn of(kind: EventKind, key: &'a ObjectKey, version: Option<VersionId>) -> Self {
        Self { kind, key, version: version.filter(|version| !version.is_null()), object: None }
    }
}

/// A rule of the lifecycle asked for it.
#[derive(Clone, Copy)]
pub(crate) struct ByRule;

impl<'a> Subject<'a> {
    /// A key that is removed as its bucket's versioning says.
    pub(crate) fn removed(bucket: &Bucket, remove: &'a RemoveObject, by: Option<ByRule>) -> Self {
        let kind = if by.is_some() { EventKind::ExpiredDelete } else { EventKind::RemovedDelete };
        let marker = remove.marker_in(bucket.settings).map(|marker| marker.version);
        Self::of(kind.with_marker(marker.is_some()), &remove.key, marker)
    }

    /// The commit knows what is left, and which marker.
    fn unsure(self) -> Self {
        Self { version: None, ..self }
    }
}

impl Origin {
    /// The rules of a bucket's lifecycle.
    pub(crate) fn lifecycle() -> Self {
        // As AWS has it.
        let service = "s3.amazonaws.com".to_owned();
        Self { principal: service.clone(), address: service, ..Self::default() }
    }

    pub(crate) fn created(&self) -> EventKind {
        match self.created_by {
            CreatedBy::Put => EventKind::CreatedPut,
            CreatedBy::Post => EventKind::CreatedPost,
            CreatedBy::Copy => EventKind::CreatedCopy,
        }
    }
}

fn decode(document: &[u8]) -> Result<NotificationRules> {
    serde_json::from_slice(document).map_err(|error| {
        tracing::error!(%error, "the notifications of a bucket cannot be read");
        EngineError::Internal("the notifications of a bucket cannot be read")
    })
}

impl Inner {
    /// What has to be committed behind a write so that its event is told: nothing for most buckets.
    pub(crate) async fn event_writes(
        &self,
        origin: &Origin,
        bucket: &Bucket,
        subject: Subject<'_>,
    ) -> Result<Vec<Write>> {
        if !self.targets.are_named() {
            return Ok(Vec::new());
        }
        let ask =
            async { self.document_of(bucket.id, NOTIFICATIONS).await?.as_deref().map(decode).transpose() };
        let Some(rules) = self.cached_of(bucket.id, &self.targets.rules, ask).await? else {
            return Ok(Vec::new());
        };
        let mut writes = Vec::new();
        for rule in rules.rules.iter().filter(|rule| rule.takes(subject.kind, subject.key)) {
            if self.targets.is_full(&rule.target) {
                metrics::counter!("granary_notifications_total", "outcome" => "dropped_full").increment(1);
                continue;
            }
            let event = Event {
                kind: subject.kind,
                bucket: bucket.name.clone(),
                owner: bucket.owner.clone(),
                region: bucket.region.clone(),
                rule: rule.id.clone(),
                key: subject.key.as_str().to_owned(),
                version: subject.version,
                object: subject.object.map(|object| (object.length_bytes, object.etag.clone())),
                origin: origin.clone(),
            };
            writes.push(queue(&rule.target, bucket.id, &event)?);
        }
        Ok(writes)
    }

    /// Writes, and behind each delete among them the events that it causes.
    pub(crate) async fn with_events(
        &self,
        origin: &Origin,
        bucket: &Bucket,
        writes: &[Write],
    ) -> Result<Vec<Write>> {
        let mut all = Vec::with_capacity(writes.len());
        for write in writes {
            all.push(write.clone());
            let subject = match write {
                Write::Remove(remove) => Subject::removed(bucket, remove, None).unsure(),
                Write::Expire(expire) => Subject::removed(bucket, &expire.remove, Some(ByRule)).unsure(),
                Write::Erase(erase) => {
                    let is_by_rule = erase.terms.expected.is_some();
                    let kind = if is_by_rule { EventKind::ExpiredDelete } else { EventKind::RemovedDelete };
                    Subject::of(kind, &erase.delete.key, Some(erase.delete.version))
                }
                _ => continue,
            };
            all.extend(self.event_writes(origin, bucket, subject).await?);
        }
        Ok(all)
    }

    /// Lets what sends events know that there may be some.
    pub(crate) fn wake_for_events(&self) {
        if self.targets.are_named() {
            self.targets.queued.notify_waiters();
        }
    }
}

fn queue(target: &str, bucket: BucketId, event: &Event) -> Result<Write> {
    let place = EventPlace {
        target: target.to_owned(),
        bucket,
        at: UnixMillis::now(),
        id: WriteId::random().map_err(EngineError::drawing)?,
    };
    let event = postcard::to_stdvec(event).map_err(|_| EngineError::Internal("encoding an event"))?;
    Ok(Write::Event(Box::new(NewEvent { place, event })))
}

/// Without the events among them: the outcomes of what was asked for.
pub(crate) fn without_events<T>(writes: &[Write], of_writes: Vec<T>) -> Vec<T> {
    let both = writes.iter().zip(of_writes);
    both.filter(|(write, _)| !matches!(write, Write::Event(_))).map(|(_, of)| of).collect()
}

impl Engine {
    /// The same engine, used on behalf of a request: its writes tell who caused them.
    #[must_use]
    pub fn on_behalf_of(&self, origin: Origin) -> Self {
        Self { origin: Arc::new(origin), ..self.clone() }
    }

    /// As [`Inner::event_writes`], for what was asked for through this handle.
    pub(crate) async fn event_writes(&self, bucket: &Bucket, subject: Subject<'_>) -> Result<Vec<Write>> {
        self.inner.event_writes(&self.origin, bucket, subject).await
    }

    /// Which events a bucket tells to whom, as the metadata has it now.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn notifications(&self, bucket: &BucketName) -> Result<NotificationRules> {
        let stored = self.bucket_document(bucket, NOTIFICATIONS).await?;
        Ok(stored.as_deref().map(decode).transpose()?.unwrap_or_default())
    }

    /// Gives a bucket other rules.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn set_notifications(&self, bucket: &BucketName, rules: &NotificationRules) -> Result<()> {
        let document = if rules.rules.is_empty() {
            None
        } else {
            let encoded = serde_json::to_vec(rules);
            Some(encoded.map_err(|_| EngineError::Internal("encoding the notifications of a bucket"))?)
        };
        self.put_bucket_document(bucket, NOTIFICATIONS, document).await?;
        self.inner.targets.rules.forget_all();
        Ok(())
    }

    /// Sends a test to the targets of these rules.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn test_notifications(&self, bucket: &BucketName, rules: &NotificationRules) -> Result<()> {
        let Bucket { id, name, owner, region, .. } = self.bucket(bucket).await?;
        let mut writes = Vec::with_capacity(rules.rules.len());
        for rule in &rules.rules {
            let event = Event {
                kind: EventKind::Test,
                bucket: name.clone(),
                owner: owner.clone(),
                region: region.clone(),
                rule: rule.id.clone(),
                key: String::new(),
                version: None,
                object: None,
                origin: (*self.origin).clone(),
            };
            writes.push(queue(&rule.target, id, &event)?);
        }
        if !writes.is_empty() {
            self.inner.store.commit(Commit { advances: Vec::new(), writes }).await?;
            self.inner.wake_for_events();
        }
        Ok(())
    }

    /// Events that wait to be sent, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn queued_events(&self, after: Option<EventPlace>, limit: u32) -> Result<Vec<WaitingEvent>> {
        let events = self.inner.store.events(after, limit).await?;
        Ok(events.into_iter().map(WaitingEvent::from).collect())
    }

    /// Takes events out of the queue.
    ///
    /// # Errors
    /// When the metadata cannot be written.
    pub async fn finish_events(&self, places: Vec<EventPlace>) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        Ok(self.inner.store.finish_events(places).await?)
    }

    /// Looks how full the queue of a target is. From `max` on, no more is queued for it by this process.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn watch_queue(&self, target: &str, max: u32) -> Result<u32> {
        let count = self.inner.store.count_events(target, max).await?;
        if let Some(full) = self.inner.targets.full.get(target) {
            let was_full = full.swap(count >= max, Ordering::Relaxed);
            if count >= max && !was_full {
                tracing::error!(
                    destination = target,
                    max,
                    "a target's queue is full: events for it are dropped until it takes some"
                );
            }
        }
        Ok(count)
    }

    /// Returns when this process may have queued events since it was called.
    pub async fn events_queued(&self) {
        self.inner.targets.queued.notified().await;
    }

    /// Whether work that one node does for all is this process's, now.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.inner.does_shared_work() && !self.inner.is_regressed()
    }
}
