//! One walk through a bucket, page by page of the index.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use granary_metadata::{
    Bucket, Bypass, Commit, DeleteObject, EraseObject, EraseTerms, Expected, ExpireObject, MetadataError,
    ObjectRow, Outcome, RemoveObject, Standing, Tag, UploadEntry, UploadQuery, VersionEntry, VersionKind,
    VersionMarker, VersionQuery, Write, WriteConditions,
};
use granary_types::{ObjectKey, UnixMillis, VersionId, WriteId, crash_point};

use super::companions::MetInBlocks;
use super::judge::{Reason, Seen, seen};
use super::place::{Place, Stage};
use super::worker::keep;
use super::{Aim, DayLength, LifecycleRules};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::events::{Origin, without_events};
use crate::transit::{Due, transit};

pub(super) const PAGE: u32 = 1_000;
/// How many versions of a page are looked at together.
pub(super) const LOOKS: usize = 32;

/// Versions that are moved together, where one of several blobs or MiB counts for as many: enough that most of a stripe is met
/// at once, whatever the order of the keys in it, and few enough to be held in memory and to be moved within minutes.
const DUE_TOGETHER: u64 = 16_384;
const WEIGHT_BYTES: u64 = 1024 * 1024;
/// So many pages after the first of them they are moved, however few they are: until then the place is not kept.
const PAGES_TOGETHER: u32 = 64;

/// A walk, from its place on.
pub(super) struct Pass<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) bucket: &'a Bucket,
    pub(super) rules: &'a LifecycleRules,
    pub(super) day: DayLength,
    pub(super) aim: Aim,
    pub(super) place: Place,
    /// How far the walk is, or was, that moves versions.
    pub(super) moves: Place,
    /// What is to be moved of the pages that were looked at since the place was kept.
    pub(super) due: Batch,
}

/// Versions that wait to be moved together.
#[derive(Default)]
pub(super) struct Batch {
    dues: Vec<Due>,
    weight: u64,
    pages: u32,
    /// Where the first of them was met.
    began: Option<Place>,
}

/// What becomes of a version that may be over.
enum Fate {
    Stays,
    Goes(Box<Write>),
    /// It is to be moved first, by a walk that begins then or later.
    Waits(UnixMillis),
}

impl Pass<'_> {
    /// Walks to the end, or until the work is another node's.
    pub(super) async fn run(mut self) -> Result<()> {
        self.place.resume();
        while self.place.stage != Stage::Done {
            let prefixes = match self.place.stage {
                Stage::Versions => self.rules.prefixes(|rule| match self.aim {
                    Aim::Delete => rule.expiration.is_some() || rule.noncurrent.is_some(),
                    Aim::Move => !rule.transitions.is_empty() || !rule.noncurrent_transitions.is_empty(),
                }),
                _ => self.rules.prefixes(|rule| rule.abort_days.is_some()),
            };
            let walked = self.place.prefix.clone();
            let ahead = prefixes.into_iter().filter(|prefix| Some(prefix) >= walked.as_ref());
            for prefix in ahead {
                if Some(&prefix) != walked.as_ref() {
                    self.place.enter(prefix);
                }
                if !self.walk_prefix().await? {
                    return Ok(());
                }
                if self.place.is_behind_retry() {
                    break;
                }
            }
            let next = match (self.place.stage, self.aim) {
                (Stage::Versions, Aim::Delete) if !self.place.is_retry() => Stage::Uploads,
                _ => Stage::Done,
            };
            self.place.begin(next);
        }
        self.place.end(UnixMillis::now());
        keep(self.inner, self.bucket, self.aim, &self.place).await.map(drop)
    }

    /// Walks the keys of the place's prefix. `false` if the walk must not go on.
    async fn walk_prefix(&mut self) -> Result<bool> {
        loop {
            // Asked before each page: an owner who takes a rule back expects it to end now, not with the last key.
            if !self.inner.does_shared_work() || !self.place.rules_stand(self.inner, self.bucket).await? {
                return Ok(false);
            }
            let more = match self.place.stage {
                Stage::Versions => self.page_of_versions().await?,
                _ => self.page_of_uploads().await?,
            };
            let is_last = !more || self.place.is_behind_retry();
            if is_last || self.due.weight >= DUE_TOGETHER || self.due.pages >= PAGES_TOGETHER {
                self.move_due().await?;
            }
            if is_last {
                return Ok(true);
            }
            // What waits is met again if the walk is cut off.
            if !self.due.dues.is_empty() {
                continue;
            }
            if !keep(self.inner, self.bucket, self.aim, &self.place).await? {
                return Ok(false);
            }
            crash_point("lifecycle.after_place");
        }
    }

    async fn page_of_versions(&mut self) -> Result<bool> {
        let query = VersionQuery {
            bucket: self.bucket.id,
            prefix: self.place.prefix.clone().unwrap_or_default(),
            delimiter: None,
            after: self.place.after.clone(),
            after_version: self.place.order.map(VersionMarker::Order),
            limit: PAGE,
        };
        let page = self.inner.store.list_versions(query).await?;
        let now = UnixMillis::now();
        let mut place = self.place.clone();
        let mut candidates = Vec::new();
        let mut entries = page.entries.into_iter().peekable();
        while let Some(VersionEntry::Version(version)) = entries.next() {
            let next_is_older =
                matches!(entries.peek(), Some(VersionEntry::Version(next)) if next.key() == version.key());
            let seen = seen(&version, &mut place, next_is_older);
            candidates.extend(seen.filter(|seen| match self.aim {
                Aim::Delete => self.is_over(seen, None, now),
                Aim::Move => self.new_class(seen, None, now).is_some(),
            }));
            (place.after, place.order) = (Some(version.key().to_string()), Some(version.order));
        }
        match self.aim {
            Aim::Delete => {
                if let Some(since) = self.delete_over(candidates, now).await? {
                    place.note_waiting(&self.place, since);
                }
            }
            Aim::Move => self.look_at_classes(candidates, now).await?,
        }
        self.place = place;
        Ok(page.more)
    }

    /// Deletes what is there still of these and over. Of what is to be moved first: since when, if there is any.
    async fn delete_over(&self, candidates: Vec<Seen>, now: UnixMillis) -> Result<Option<UnixMillis>> {
        let looked = stream::iter(candidates).map(|seen| self.look_past_damage(seen, now)).buffered(LOOKS);
        let looked: Vec<Fate> = looked.try_collect().await?;
        let (mut writes, mut since) = (Vec::new(), None);
        for fate in looked {
            match fate {
                Fate::Goes(write) => writes.push(*write),
                Fate::Waits(at) => since = Some(since.map_or(at, |earlier: UnixMillis| earlier.min(at))),
                Fate::Stays => {}
            }
        }
        self.delete(writes).await?;
        Ok(since)
    }

    /// Adds to the batch what is there still of these and is to have another class. What is to be deleted for good is not.
    async fn look_at_classes(&mut self, moving: Vec<Seen>, now: UnixMillis) -> Result<()> {
        let looked = stream::iter(moving).map(|seen| self.look_at_class(seen, now)).buffered(LOOKS);
        let dues: Vec<Option<Due>> = looked.try_collect().await?;
        for due in dues.into_iter().flatten() {
            let object = &due.row.object;
            self.due.weight +=
                (object.content.parts().len() as u64).max(1 + object.length_bytes / WEIGHT_BYTES);
            self.due.dues.push(due);
        }
        if !self.due.dues.is_empty() {
            self.due.pages += 1;
            self.due.began.get_or_insert_with(|| self.place.clone());
        }
        Ok(())
    }

    /// Moves the batch to the classes that rules say.
    async fn move_due(&mut self) -> Result<()> {
        let Batch { dues, began, .. } = std::mem::take(&mut self.due);
        let Some(began) = began else { return Ok(()) };
        // What the blocks are told of the bucket is to be what it is now, not what it was when a long walk began.
        let bucket = self.inner.store.bucket(&self.bucket.name).await?;
        let Some(bucket) = bucket.filter(|bucket| bucket.id == self.bucket.id) else { return Ok(()) };
        let told = began.clone().while_moving(dues.len() as u64);
        if !keep(self.inner, self.bucket, self.aim, &told).await? {
            return Ok(());
        }
        let companions = MetInBlocks::new(self);
        let moved = transit(self.inner, &bucket, dues, &companions).await?;
        self.place.note_moved(moved, &began);
        Ok(())
    }

    async fn look_at_class(&self, seen: Seen, now: UnixMillis) -> Result<Option<Due>> {
        let found = self.current_row(&seen).await;
        let (row, tags) = match found {
            // As with what is over, a row that is damaged keeps nothing else from its class.
            Err(EngineError::Metadata(MetadataError::Corrupt { .. })) | Ok(None) => return Ok(None),
            Ok(Some(found)) => found,
            Err(error) => return Err(error),
        };
        self.due(seen, (row, tags), now).await
    }

    /// What a version with this row and these tags is to become, if it is to have another class.
    pub(super) async fn due(
        &self,
        seen: Seen,
        (row, tags): (ObjectRow, Vec<Tag>),
        now: UnixMillis,
    ) -> Result<Option<Due>> {
        let seen = Seen { class: row.object.storage_class, ..seen };
        let goes = self.goes_for_good(&seen) && self.is_over(&seen, Some(&tags), now);
        let stays = row.object.kind == VersionKind::Object && !goes;
        let to = self.new_class(&seen, Some(&tags), now).filter(|_| stays);
        let Some(to) = to else { return Ok(None) };
        let events = self.inner.transition_events(self.bucket, (&seen.key, &row.object), to).await?;
        Ok(Some(Due { key: seen.key, row, to, events }))
    }

    /// The row of a version and its tags, if it is the one that was seen.
    async fn current_row(&self, seen: &Seen) -> Result<Option<(ObjectRow, Vec<Tag>)>> {
        let row = self.inner.store.object(self.bucket.id, &seen.key, Some(seen.version)).await?;
        // The null version may be another one by now.
        let Some(row) = row.filter(|row| row.object.modified == seen.modified) else { return Ok(None) };
        let tags = self.tags(&seen.key, &row).await?;
        Ok(Some((row, tags)))
    }

    pub(super) async fn tags(&self, key: &ObjectKey, row: &ObjectRow) -> Result<Vec<Tag>> {
        match row.tag_count {
            0 => Ok(Vec::new()),
            _ => Ok(self.inner.store.object_tags(self.bucket.id, key, row.object.write).await?),
        }
    }

    /// As [`Self::look_again`]. A row that is damaged keeps nothing else from expiring.
    async fn look_past_damage(&self, seen: Seen, now: UnixMillis) -> Result<Fate> {
        let (key, version) = (seen.key.clone(), seen.version);
        match self.look_again(seen, now).await {
            Err(EngineError::Metadata(error @ MetadataError::Corrupt { .. })) => {
                metrics::counter!("granary_lifecycle_total", "outcome" => "damaged").increment(1);
                tracing::error!(bucket = %self.bucket.name, %key, %version, %error, "a lifecycle passes over a version whose row is damaged");
                Ok(Fate::Stays)
            }
            looked => looked,
        }
    }

    /// What becomes of a version: the delete, if it is over, is of exactly the write that is there now.
    async fn look_again(&self, seen: Seen, now: UnixMillis) -> Result<Fate> {
        let Some((row, tags)) = self.current_row(&seen).await? else { return Ok(Fate::Stays) };
        let seen = Seen { class: row.object.storage_class, ..seen };
        if !self.is_over(&seen, Some(&tags), now) {
            return Ok(Fate::Stays);
        }
        if let Some(since) = self.moves_first(&seen, &tags, now) {
            return Ok(Fate::Waits(since));
        }
        let standing = match seen.reason {
            Reason::Current => {
                let remove = RemoveObject {
                    bucket: self.bucket.id,
                    key: seen.key,
                    conditions: WriteConditions::default(),
                    version: VersionId::random().map_err(EngineError::drawing)?,
                    write: WriteId::random().map_err(EngineError::drawing)?,
                    modified: now,
                };
                let expire = ExpireObject { expected: row.object.write, remove };
                return Ok(Fate::Goes(Box::new(Write::Expire(Box::new(expire)))));
            }
            Reason::Marker => Standing::Sole,
            Reason::Noncurrent { .. } => Standing::Noncurrent,
        };
        let delete = DeleteObject {
            bucket: self.bucket.id,
            key: seen.key,
            version: seen.version,
            conditions: WriteConditions::default(),
        };
        let expected = Some(Expected { write: row.object.write, standing });
        let terms = EraseTerms { at: now, bypass: Bypass::Nothing, expected };
        Ok(Fate::Goes(Box::new(Write::Erase(Box::new(EraseObject { delete, terms })))))
    }

    async fn page_of_uploads(&mut self) -> Result<bool> {
        let query = UploadQuery {
            bucket: self.bucket.id,
            prefix: self.place.prefix.clone().unwrap_or_default(),
            delimiter: None,
            after_key: self.place.after.clone(),
            after_upload: self.place.upload,
            limit: PAGE,
        };
        let page = self.inner.store.list_uploads(query).await?;
        let now = UnixMillis::now();
        let mut writes = Vec::new();
        for entry in page.entries {
            let UploadEntry::Upload(upload) = entry else { continue };
            let abort = self.rules.abort(upload.key.as_str(), upload.initiated, self.day);
            let over = abort.is_some_and(|(at, _)| at <= now);
            (self.place.after, self.place.upload) = (Some(upload.key.to_string()), Some(upload.upload));
            if over {
                let (key, upload) = (upload.key, upload.upload);
                writes.push(Write::AbortUpload { bucket: self.bucket.id, key, upload });
            }
        }
        self.delete(writes).await?;
        Ok(page.more)
    }

    async fn delete(&self, writes: Vec<Write>) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let all = self.inner.with_events(&Origin::lifecycle(), self.bucket, &writes).await?;
        let commit = Commit { advances: Vec::new(), writes: all.clone() };
        let outcomes = without_events(&all, self.inner.store.commit(commit).await?);
        self.inner.wake_for_events();
        crash_point("lifecycle.after_commit_before_place");
        self.inner.record_deletes(self.bucket, &writes, &[], &outcomes).await;
        for outcome in outcomes {
            let what = match outcome {
                Outcome::Done { .. } => "deleted",
                Outcome::Marked { .. } => "marked",
                Outcome::Locked => "locked",
                // It changed since it was looked at; the next walk looks again.
                _ => "changed",
            };
            metrics::counter!("granary_lifecycle_total", "outcome" => what).increment(1);
        }
        Ok(())
    }
}
