//! Object lock: what keeps a version from being deleted or replaced.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html>

use granary_types::{BucketId, ObjectKey, UnixMillis, VersionId, WriteId};
use serde::{Deserialize, Serialize};

use super::commit::{DeleteObject, RemoveObject};
use super::object::{NewObject, VersionKind};
use super::settings::{BucketSettings, LockMode, RetentionPeriod};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const YEAR_DAYS: i64 = 365;

/// Until when a version is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How firmly.
    pub mode: LockMode,
    /// Until when.
    pub until: UnixMillis,
}

/// Whether a version is kept until the hold is taken away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LegalHold {
    /// Nobody ever said so.
    #[default]
    Unset,
    /// It was said that it is not.
    Off,
    /// It is.
    On,
}

/// Whether who asks may get past a governance retention, and said so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bypass {
    /// Every retention holds.
    #[default]
    Nothing,
    /// Governance retentions do not hold.
    Governance,
}

/// The locks of a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// Its retention, also when that is over.
    pub retention: Option<Retention>,
    /// Its legal hold.
    pub legal_hold: LegalHold,
}

impl ObjectLock {
    /// Whether the version must neither be deleted nor replaced at that time.
    #[must_use]
    pub fn holds(self, at: UnixMillis, bypass: Bypass) -> bool {
        self.legal_hold == LegalHold::On || self.active(at).is_some_and(|retention| retention.binds(bypass))
    }

    /// With another retention, or none; `None` if the one that holds now forbids it: without bypass it can only be
    /// extended, and compliance cannot be bypassed.
    #[must_use]
    pub fn retained(self, retention: Option<Retention>, at: UnixMillis, bypass: Bypass) -> Option<Self> {
        let extends =
            |old: Retention| retention.is_some_and(|new| new.mode == old.mode && new.until >= old.until);
        match self.active(at) {
            Some(old) if old.binds(bypass) && !extends(old) => None,
            _ => Some(Self { retention, ..self }),
        }
    }

    fn active(self, at: UnixMillis) -> Option<Retention> {
        self.retention.filter(|retention| retention.until > at)
    }

    /// What a version gets that is put into a bucket with these settings and says nothing of its own.
    pub(crate) fn by_default(settings: BucketSettings, object: &NewObject) -> Self {
        let default = settings.lock.and_then(|lock| lock.default);
        let retention = default.filter(|_| object.kind == VersionKind::Object).map(|default| {
            let days = match default.period {
                RetentionPeriod::Days(days) => i64::from(days),
                RetentionPeriod::Years(years) => i64::from(years).saturating_mul(YEAR_DAYS),
            };
            let until = UnixMillis(object.modified.0.saturating_add(days.saturating_mul(DAY_MS)));
            Retention { mode: default.mode, until }
        });
        Self { retention, legal_hold: LegalHold::Unset }
    }
}

impl Retention {
    fn binds(self, bypass: Bypass) -> bool {
        self.mode == LockMode::Compliance || bypass == Bypass::Nothing
    }
}

/// Change the locks of a version. It is applied only if the version exists and `write` made it; otherwise the outcome
/// is [`super::Outcome::NoSuchKey`]. In the same commit as the put of that version and behind it, it makes both true
/// at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locking {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version: VersionId,
    /// The write that made it.
    pub write: WriteId,
    /// What to change.
    pub change: LockChange,
}

/// A change of a version's locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockChange {
    /// What the request that puts the version says of it. A retention replaces the bucket's default, whatever that is.
    Initial(ObjectLock),
    /// Another retention, or none; refused with [`super::Outcome::Locked`] if the one it has forbids it.
    Retention {
        /// The new one.
        retention: Option<Retention>,
        /// When the change is made.
        at: UnixMillis,
        /// What does not hold.
        bypass: Bypass,
    },
    /// Another legal hold.
    LegalHold(LegalHold),
}

impl LockChange {
    /// The locks after the change, or `None` if those that hold forbid it.
    pub(crate) fn apply(self, old: ObjectLock) -> Option<ObjectLock> {
        match self {
            Self::Initial(lock) => {
                Some(ObjectLock { retention: lock.retention.or(old.retention), legal_hold: lock.legal_hold })
            }
            Self::Retention { retention, at, bypass } => old.retained(retention, at, bypass),
            Self::LegalHold(legal_hold) => Some(ObjectLock { legal_hold, ..old }),
        }
    }
}

/// Where a version must still stand among the versions of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Behind a newer version.
    Noncurrent,
    /// It is the only version.
    Sole,
}

/// What a version must still be; otherwise the outcome is [`super::Outcome::Moved`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The write that made it.
    pub write: WriteId,
    /// Where it stands.
    pub standing: Standing,
}

/// Under which terms a version is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseTerms {
    /// When: retentions that ended before do not hold.
    pub at: UnixMillis,
    /// What does not hold.
    pub bypass: Bypass,
    /// What it must still be, if it is not deleted by name alone.
    pub expected: Option<Expected>,
}

impl EraseTerms {
    /// At that time, with no bypass.
    pub(crate) fn at(at: UnixMillis) -> Self {
        Self { at, bypass: Bypass::Nothing, expected: None }
    }

    /// Every retention holds, over or not: of deletes that do not say when they are made.
    pub(crate) fn strict() -> Self {
        Self::at(UnixMillis(i64::MIN))
    }
}

/// Delete one version for good, if its locks let it; otherwise the outcome is [`super::Outcome::Locked`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseObject {
    /// Which.
    pub delete: DeleteObject,
    /// Under which terms.
    pub terms: EraseTerms,
}

/// Delete a key as [`super::Write::Remove`] does, if `expected` made the current version; otherwise the outcome is
/// [`super::Outcome::Moved`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpireObject {
    /// The write that made what shall expire.
    pub expected: WriteId,
    /// How the key is deleted.
    pub remove: RemoveObject,
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
