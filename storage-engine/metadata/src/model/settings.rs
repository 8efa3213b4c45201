//! What a bucket was told to do with its objects: versions and locks. Commits decide by it, so it is in the bucket's row.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whether writes keep what they replace.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Versioning {
    /// It never was enabled: there are null versions only, and deletes leave no marker.
    #[default]
    Never,
    /// Each write and each delete makes a version of its own.
    Enabled,
    /// Writes and deletes make and replace the null version; others stay.
    Suspended,
}

/// How firmly a retention holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockMode {
    /// Who may bypass it can delete the version all the same.
    Governance,
    /// Nobody can.
    Compliance,
}

/// How long the versions put into a bucket are retained unless their requests say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// How firmly.
    pub mode: LockMode,
    /// How long.
    pub period: RetentionPeriod,
}

/// A time as S3 counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the variants are the units")]
pub enum RetentionPeriod {
    Days(u32),
    Years(u32),
}

/// The object lock of a bucket that has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketLock {
    /// What versions get by default.
    pub default: Option<DefaultRetention>,
}

/// The settings of a bucket that commits look at.
///
/// They follow a bucket's other fields in its row. Rows of releases that had no settings end before them and mean the
/// default; settings that are there but not understood are an error, never the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Whether writes keep what they replace.
    pub versioning: Versioning,
    /// The object lock, if the bucket has one.
    pub lock: Option<BucketLock>,
}

/// A change of a bucket's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BucketChange {
    /// Versioning is enabled from now on.
    EnableVersioning,
    /// Versioning is suspended from now on. A bucket with object lock refuses it.
    SuspendVersioning,
    /// Sets the object lock, which needs versioning.
    SetLock(BucketLock),
}

impl BucketSettings {
    /// The settings after `change`, or `None` if what is there forbids it.
    #[must_use]
    pub fn changed(self, change: BucketChange) -> Option<Self> {
        match change {
            BucketChange::EnableVersioning => Some(Self { versioning: Versioning::Enabled, ..self }),
            BucketChange::SuspendVersioning if self.lock.is_some() => None,
            BucketChange::SuspendVersioning => Some(Self { versioning: Versioning::Suspended, ..self }),
            BucketChange::SetLock(lock) if self.versioning == Versioning::Enabled => {
                Some(Self { lock: Some(lock), ..self })
            }
            BucketChange::SetLock(_) => None,
        }
    }
}

const FIELDS: usize = 2;

impl Serialize for BucketSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let versioning: u8 = match self.versioning {
            Versioning::Never => 0,
            Versioning::Enabled => 1,
            Versioning::Suspended => 2,
        };
        let mut fields = serializer.serialize_tuple(FIELDS)?;
        fields.serialize_element(&versioning)?;
        fields.serialize_element(&self.lock)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for BucketSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(FIELDS, Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = BucketSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a bucket, or nothing")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        // A byte can only be missing: the row is of a release without settings.
        let Ok(Some(versioning)) = fields.next_element::<u8>() else { return Ok(BucketSettings::default()) };
        let versioning = match versioning {
            0 => Versioning::Never,
            1 => Versioning::Enabled,
            2 => Versioning::Suspended,
            other => return Err(A::Error::custom(format_args!("unknown versioning {other}"))),
        };
        let lock = fields.next_element()?.ok_or_else(|| A::Error::custom("a bucket's lock is missing"))?;
        Ok(BucketSettings { versioning, lock })
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
