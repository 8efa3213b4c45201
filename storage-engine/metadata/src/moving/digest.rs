//! What tells whether two stores hold the same entries.

use std::collections::BTreeMap;

use granary_types::BucketId;
use serde::{Deserialize, Serialize};

use super::{Entry, Table};
use crate::error::{MetadataError, Result};

/// A count of entries and the sum of their hashes, in four lanes: the same for the same set, in whatever order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDigest {
    /// How many.
    pub count: u64,
    sum: [u64; 4],
}

impl SetDigest {
    fn add(&mut self, encoded: &[u8]) {
        self.count = self.count.saturating_add(1);
        let hash = blake3::hash(encoded);
        for (lane, bytes) in self.sum.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            let mut word = [0_u8; 8];
            word.copy_from_slice(bytes);
            *lane = lane.wrapping_add(u64::from_le_bytes(word));
        }
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        self.sum.iter().map(|lane| format!("{lane:016x}")).collect()
    }
}

/// A digest for each table, and for each bucket in the tables of buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests(BTreeMap<(Table, Option<BucketId>), SetDigest>);

/// One table, or one bucket of it, that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The table.
    pub table: Table,
    /// The bucket's id, in tables of buckets.
    pub bucket: Option<String>,
    /// Entries in the source.
    pub source_count: u64,
    /// Entries in the target.
    pub target_count: u64,
}

impl Digests {
    /// Adds an entry and returns the length of its encoding in bytes.
    ///
    /// # Errors
    /// [`MetadataError::Corrupt`] if it cannot be encoded.
    pub fn add(&mut self, entry: &Entry) -> Result<usize> {
        let encoded = postcard::to_stdvec(entry)
            .map_err(|error| MetadataError::Corrupt { context: format!("an entry to copy: {error}") })?;
        self.0.entry((entry.table(), entry.bucket())).or_default().add(&encoded);
        Ok(encoded.len())
    }

    /// The digests in order.
    pub fn iter(&self) -> impl Iterator<Item = (Table, Option<BucketId>, &SetDigest)> {
        self.0.iter().map(|((table, bucket), digest)| (*table, *bucket, digest))
    }

    /// How many entries all tables have together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, digest| sum.saturating_add(digest.count))
    }

    /// Where two stores differ.
    #[must_use]
    pub fn differences(&self, target: &Self) -> Vec<Difference> {
        let mut keys: Vec<_> = self.0.keys().chain(target.0.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
            .filter(|key| self.0.get(key) != target.0.get(key))
            .map(|key| Difference {
                table: key.0,
                bucket: key.1.map(|id| id.to_string()),
                source_count: self.0.get(&key).map_or(0, |digest| digest.count),
                target_count: target.0.get(&key).map_or(0, |digest| digest.count),
            })
            .collect()
    }
}
