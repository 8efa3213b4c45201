//! What the rules say of one version.

use granary_metadata::{ListedVersion, NewObject, Tag, VersionKind, Versioning};
use granary_types::{ObjectKey, StorageClass, UnixMillis, VersionId};

use super::pass::Pass;
use super::place::Place;
use super::{Age, LifecycleRule, Subject};

/// Why a version may be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// A current object, whose time is up.
    Current,
    /// A delete marker that hides nothing any more.
    Marker,
    /// Behind so many older versions, and replaced then.
    Noncurrent { newer: u32, replaced: UnixMillis },
}

/// A version that may be over, or belong in another class.
pub(super) struct Seen {
    pub(super) key: ObjectKey,
    pub(super) version: VersionId,
    pub(super) modified: UnixMillis,
    pub(super) length_bytes: u64,
    pub(super) class: StorageClass,
    pub(super) reason: Reason,
}

impl Seen {
    /// A current version that was met elsewhere than in a listing.
    pub(super) fn current(key: &ObjectKey, object: &NewObject) -> Self {
        Self {
            key: key.clone(),
            version: object.version,
            modified: object.modified,
            length_bytes: object.length_bytes,
            class: object.storage_class,
            reason: Reason::Current,
        }
    }
}

/// What there is to ask about a version, and what the next one has to know of it.
pub(super) fn seen(version: &ListedVersion, place: &mut Place, next_is_older: bool) -> Option<Seen> {
    let modified = version.object.modified;
    let replaced = place.replaced_ms.replace(modified.0);
    let reason = if version.is_latest {
        place.older_met = 0;
        match version.kind {
            VersionKind::Object => Some(Reason::Current),
            VersionKind::DeleteMarker => (!next_is_older).then_some(Reason::Marker),
        }
    } else {
        let newer = place.older_met;
        place.older_met = newer.saturating_add(1);
        replaced.map(|replaced| Reason::Noncurrent { newer, replaced: UnixMillis(replaced) })
    };
    let key = version.key().clone();
    let (length_bytes, class) = (version.object.length_bytes, version.object.storage_class);
    let version = version.version;
    reason.map(|reason| Seen { key, version, modified, length_bytes, class, reason })
}

impl Pass<'_> {
    /// Whether a rule says that it is over; with `None` for tags, whether one may say so when its tags are known.
    pub(super) fn is_over(&self, seen: &Seen, tags: Option<&[Tag]>, now: UnixMillis) -> bool {
        let over = |rule: &&LifecycleRule| {
            let at = match seen.reason {
                Reason::Current => rule.expires_at(seen.modified, self.day),
                Reason::Marker => rule.marker_expires_at(seen.modified, self.day),
                Reason::Noncurrent { newer, replaced } => {
                    rule.noncurrent_expires_at(replaced, newer, self.day)
                }
            };
            at.is_some_and(|at| at <= now)
        };
        let fits = |rule: &&LifecycleRule| match (seen.reason, tags) {
            (Reason::Marker, _) => seen.key.as_str().starts_with(rule.filter.prefix()),
            (_, None) => rule.filter.fits_untagged(seen.key.as_str(), seen.length_bytes),
            (_, Some(tags)) => {
                rule.filter.fits(Subject { key: seen.key.as_str(), length_bytes: seen.length_bytes, tags })
            }
        };
        self.rules.rules.iter().filter(|rule| rule.enabled()).filter(fits).any(|rule| over(&rule))
    }

    /// The class that rules say it is to have; with `None` for tags, as far as they do not matter.
    pub(super) fn new_class(
        &self,
        seen: &Seen,
        tags: Option<&[Tag]>,
        now: UnixMillis,
    ) -> Option<StorageClass> {
        let age = match seen.reason {
            Reason::Current => Age::Current(seen.modified),
            Reason::Noncurrent { newer, replaced } => Age::Noncurrent { newer, replaced },
            Reason::Marker => return None,
        };
        let subject = (seen.key.as_str(), seen.length_bytes, tags);
        self.rules.transition(subject, seen.class, age, (self.day, now))
    }

    /// Whether a version is not there any more when it has expired: no delete marker only hides it.
    pub(super) fn goes_for_good(&self, seen: &Seen) -> bool {
        seen.reason != Reason::Current
            || match self.bucket.settings.versioning {
                Versioning::Never => true,
                Versioning::Suspended => seen.version == VersionId::NULL,
                Versioning::Enabled => false,
            }
    }

    /// Since when a current version, which is over, is to move to another class before a delete marker hides it. What a whole walk
    /// of moves that began since then could not move is hidden nevertheless.
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html>
    pub(super) fn moves_first(&self, seen: &Seen, tags: &[Tag], now: UnixMillis) -> Option<UnixMillis> {
        if self.goes_for_good(seen) || self.new_class(seen, Some(tags), now).is_none() {
            return None;
        }
        let subject = Subject { key: seen.key.as_str(), length_bytes: seen.length_bytes, tags };
        let (since, _) = self.rules.expiration(subject, seen.modified, self.day)?;
        (!self.moves.has_ended_since(since, &self.place)).then_some(since)
    }
}
