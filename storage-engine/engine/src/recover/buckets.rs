//! Which buckets there were, and what is known of them.

use std::collections::{BTreeMap, BTreeSet};

use granary_metadata::{Bucket, BucketLock, BucketSettings, Versioning};
use granary_types::{BucketId, BucketName, UnixMillis};

use super::replay::Record;
use super::report::{Finding, FindingKind};
use crate::error::{EngineError, Result};
use crate::told::{Deed, Stamp};

/// The region of buckets that nothing tells the region of.
const REGION: &str = "us-east-1";
/// Digits of a bucket's id in a made-up name.
const ID_DIGITS: usize = 12;

/// What blocks tell of a bucket.
#[derive(Debug, Default)]
struct Told {
    /// The last row of it.
    row: Option<(Stamp, Bucket)>,
    /// What the last write in it says of it.
    seen: Option<(Stamp, BucketName, BucketSettings)>,
    /// A lock that anything tells of: a bucket's lock is never taken away.
    lock: Option<(Stamp, BucketLock)>,
    gone: Option<Stamp>,
    earliest_ms: Option<i64>,
}

/// What is known of all buckets.
#[derive(Debug, Default)]
pub(super) struct KnownBuckets {
    told: BTreeMap<BucketId, Told>,
    base: BTreeMap<BucketId, Bucket>,
}

fn newer<T>(known: &Option<(Stamp, T)>, stamp: Stamp) -> bool {
    known.as_ref().is_none_or(|(at, _)| *at <= stamp)
}

impl KnownBuckets {
    /// Learns from a record.
    pub(super) fn learn(&mut self, record: &Record) {
        let told = self.told.entry(record.bucket).or_default();
        let earliest = told.earliest_ms.get_or_insert(record.object.modified.0);
        *earliest = (*earliest).min(record.object.modified.0);
        let Some(says) = &record.told else { return };
        let stamp = record.stamp;
        if told.seen.as_ref().is_none_or(|(at, ..)| *at <= stamp) {
            told.seen = Some((stamp, says.name.clone(), says.settings));
        }
        let mut lock = says.settings.lock;
        match &says.deed {
            Deed::Bucket(bucket) => {
                lock = bucket.settings.lock;
                if newer(&told.row, stamp) {
                    told.row = Some((stamp, (**bucket).clone()));
                }
            }
            Deed::BucketGone => told.gone = told.gone.max(Some(stamp)),
            Deed::Put | Deed::Erased | Deed::Refused(_) | Deed::Retiered => {}
        }
        if let Some(lock) = lock.filter(|_| newer(&told.lock, stamp)) {
            told.lock = Some((stamp, lock));
        }
    }

    /// Learns what a backup knows.
    pub(super) fn learn_base(&mut self, bucket: Bucket) {
        self.base.insert(bucket.id, bucket);
    }

    /// Whether anything tells that the bucket has object lock.
    pub(super) fn is_locked(&self, bucket: BucketId) -> bool {
        self.base.get(&bucket).is_some_and(|bucket| bucket.settings.lock.is_some())
            || self.told.get(&bucket).is_some_and(|told| told.lock.is_some())
    }

    /// The buckets, of which `live` hold versions.
    pub(super) fn rows(&self, live: &BTreeSet<BucketId>) -> Result<(Vec<Bucket>, Vec<Finding>)> {
        let mut ids: BTreeSet<BucketId> = self.told.keys().chain(self.base.keys()).copied().collect();
        ids.extend(live);
        let nothing = Told::default();
        let mut rows: Vec<(Stamp, Bucket)> = Vec::new();
        let mut findings = Vec::new();
        for id in ids {
            let told = self.told.get(&id).unwrap_or(&nothing);
            let last = told.seen.as_ref().map_or_else(Stamp::default, |(stamp, ..)| *stamp);
            if told.gone.is_some_and(|gone| gone >= last) && !live.contains(&id) {
                continue;
            }
            rows.push((last, self.row(id, told, &mut findings)?));
        }
        // Two of one name: the later has it.
        rows.sort_by_key(|(last, bucket)| (std::cmp::Reverse(*last), bucket.id));
        let mut names = BTreeSet::new();
        for (_, bucket) in &mut rows {
            if !names.insert(bucket.name.as_str().to_owned()) {
                findings.push(Finding::of_bucket(FindingKind::BucketUnnamed, bucket.id));
                bucket.name = made_up(bucket.id)?;
                names.insert(bucket.name.as_str().to_owned());
            }
        }
        Ok((rows.into_iter().map(|(_, bucket)| bucket).collect(), findings))
    }

    fn row(&self, id: BucketId, told: &Told, findings: &mut Vec<Finding>) -> Result<Bucket> {
        let known = told.row.as_ref().map(|(_, bucket)| bucket).or_else(|| self.base.get(&id)).cloned();
        let mut bucket = match (known, &told.seen) {
            (Some(bucket), _) => bucket,
            (None, seen) => {
                findings.push(Finding::of_bucket(FindingKind::BucketOwnerUnknown, id));
                let (name, settings) = match seen {
                    Some((_, name, settings)) => (name.clone(), *settings),
                    None => {
                        findings.push(Finding::of_bucket(FindingKind::BucketUnnamed, id));
                        (made_up(id)?, BucketSettings::default())
                    }
                };
                Bucket {
                    id,
                    name,
                    created: UnixMillis(told.earliest_ms.unwrap_or(0)),
                    region: REGION.to_owned(),
                    owner: String::new(),
                    settings,
                }
            }
        };
        if bucket.settings.lock.is_none() {
            bucket.settings.lock = told.lock.map(|(_, lock)| lock);
        }
        if bucket.settings.lock.is_some() {
            bucket.settings.versioning = Versioning::Enabled;
        }
        Ok(bucket)
    }
}

fn made_up(id: BucketId) -> Result<BucketName> {
    let digits: String = id.to_string().chars().take(ID_DIGITS).collect();
    let name = BucketName::new(format!("recovered-{digits}"));
    name.map_err(|_| EngineError::Internal("a bucket's made-up name is not valid"))
}
