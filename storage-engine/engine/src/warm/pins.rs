//! Which prefixes are pinned.
//!
//! Each is a configuration of its bucket, named by the prefix: who pins one and who unpins another do not get in each
//! other's way, and pins go with their bucket.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::pin;

use futures::TryStreamExt as _;
use granary_metadata::{Bucket, BucketDocument, DocumentQuery, WarmVersion};
use granary_types::{BucketId, BucketName};

use crate::engine::Inner;
use crate::error::Result;

/// What stands before the prefix in the name.
const NAME: &str = "warm/pin/";
/// Pins of one bucket that are read at a time.
const PAGE: u32 = 1_000;

/// A pinned prefix, and what is there of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinStatus {
    /// The bucket.
    pub bucket: BucketName,
    /// The prefix; empty for the whole bucket.
    pub prefix: String,
    /// Objects that have their copies.
    pub copies: u64,
    /// Bytes of these copies.
    pub bytes: u64,
}

/// The prefixes of a bucket that are pinned, in order.
pub(super) async fn prefixes(inner: &Inner, bucket: BucketId) -> Result<Vec<String>> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let query = DocumentQuery { bucket, prefix: NAME.to_owned(), after, limit: PAGE };
        let page = inner.store.bucket_documents(query).await?;
        let is_full = u32::try_from(page.len()).is_ok_and(|count| count >= PAGE);
        found.extend(page.iter().filter_map(|document| document.name.strip_prefix(NAME)).map(str::to_owned));
        match page.last().filter(|_| is_full) {
            Some(last) => after = last.name.clone(),
            None => return Ok(found),
        }
    }
}

/// Pins a prefix, or does not any more. `false` if the bucket is gone.
pub(super) async fn set(inner: &Inner, bucket: BucketId, prefix: &str, pin: Pin) -> Result<bool> {
    let document = match pin {
        Pin::Pinned => Some(b"{}".to_vec()),
        Pin::Unpinned => None,
    };
    let put = BucketDocument { bucket, name: format!("{NAME}{prefix}"), document };
    Ok(inner.store.put_bucket_document(put).await?)
}

/// All pins, as of the last change of a configuration that was looked at.
#[derive(Default)]
pub(super) struct KnownPins {
    generation: Option<u64>,
    pub(super) pins: Vec<(BucketId, BucketName, String)>,
}

impl KnownPins {
    /// Reads them again if a configuration changed anywhere.
    pub(super) async fn refresh(&mut self, inner: &Inner) -> Result<()> {
        let generation = inner.store.configuration_generation().await?;
        if self.generation == Some(generation) {
            return Ok(());
        }
        self.pins = all(inner).await?;
        self.generation = Some(generation);
        Ok(())
    }
}

/// The pinned prefixes of all buckets.
pub(super) async fn all(inner: &Inner) -> Result<Vec<(BucketId, BucketName, String)>> {
    let mut pins = Vec::new();
    let mut buckets = pin!(inner.all_buckets());
    while let Some(Bucket { id, name, .. }) = buckets.try_next().await? {
        let prefixes = prefixes(inner, id).await?.into_iter();
        pins.extend(prefixes.map(|prefix| (id, name.clone(), prefix)));
    }
    Ok(pins)
}

/// What a prefix is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pin {
    Pinned,
    Unpinned,
}

/// The pins of some buckets.
pub(super) struct Pins(HashMap<BucketId, Vec<String>>);

impl Pins {
    /// Those of the buckets of these rows.
    pub(super) async fn of_rows(inner: &Inner, rows: &[WarmVersion]) -> Result<Self> {
        let mut pins = HashMap::new();
        for row in rows {
            if let Entry::Vacant(missing) = pins.entry(row.bucket) {
                missing.insert(prefixes(inner, row.bucket).await?);
            }
        }
        Ok(Self(pins))
    }

    /// Whether a version's key is pinned.
    pub(super) fn cover(&self, version: &WarmVersion) -> bool {
        let pinned = |prefix: &String| version.key.as_str().starts_with(prefix.as_str());
        self.0.get(&version.bucket).is_some_and(|prefixes| prefixes.iter().any(pinned))
    }
}
