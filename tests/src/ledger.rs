//! What a load has done, so that it is known what each key may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::Client;

use crate::client::decided;
use crate::content::seeded_bytes;
use crate::load::{BUCKET, refused};

/// What a key may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Absent,
    /// The seeded bytes of this seed and length.
    Seeded {
        /// Seed of the content.
        seed: u64,
        /// Its length.
        length_bytes: usize,
    },
}

impl Content {
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Absent => None,
            Self::Seeded { seed, length_bytes } => Some(seeded_bytes(seed, length_bytes)),
        }
    }
}

/// Everything a load has done, by key: the last acknowledged content, and the contents of writes
/// whose outcome it was never told.
#[derive(Debug, Default)]
pub struct Ledger {
    keys: Mutex<BTreeMap<String, Holding>>,
    /// What each key was acknowledged to hold before.
    past: Mutex<BTreeMap<String, Vec<Content>>>,
    acknowledged: AtomicU64,
}

/// What is known of one key.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    /// The last acknowledged content.
    pub(crate) settled: Content,
    /// Contents of writes since then whose outcome is unknown.
    pub(crate) unknown: Vec<Content>,
}

impl Ledger {
    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// The keys written so far.
    pub fn keys(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// How many keys hold something, as far as that is settled.
    pub fn objects(&self) -> usize {
        self.lock().values().filter(|holding| holding.settled != Content::Absent).count()
    }

    /// How many bytes all keys hold together, as far as that is settled.
    pub fn settled_bytes(&self) -> u64 {
        let length = |holding: &Holding| match holding.settled {
            Content::Absent => 0,
            Content::Seeded { length_bytes, .. } => length_bytes as u64,
        };
        self.lock().values().map(length).sum()
    }

    /// How many bytes they take at least, as far as that is settled: copies of large objects share theirs.
    pub fn distinct_bytes(&self) -> u64 {
        let content = |holding: &Holding| match holding.settled {
            Content::Absent => None,
            Content::Seeded { seed, length_bytes } => Some((seed, length_bytes)),
        };
        let contents: BTreeSet<(u64, usize)> = self.lock().values().filter_map(content).collect();
        contents.iter().map(|(_, length_bytes)| *length_bytes as u64).sum()
    }

    /// What is known of the key.
    pub(crate) fn holding(&self, key: &str) -> Holding {
        let none = Holding { settled: Content::Absent, unknown: Vec::new() };
        self.lock().get(key).cloned().unwrap_or(none)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Holding>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, key: &str, content: Content) {
        let mut keys = self.lock();
        let none = Holding { settled: Content::Absent, unknown: Vec::new() };
        keys.entry(key.to_owned()).or_insert(none).unknown.push(content);
    }

    pub(crate) fn acknowledge(&self, key: &str, content: Content) {
        let before = self.lock().insert(key.to_owned(), Holding { settled: content, unknown: Vec::new() });
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.entry(key.to_owned()).or_default().extend(before.map(|before| before.settled));
        drop(past);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back a write that the server refused, and so did not do.
    pub(crate) fn refuse(&self, key: &str, content: Content) {
        if let Some(holding) = self.lock().get_mut(key) {
            holding.unknown.retain(|unknown| *unknown != content);
        }
    }

    /// Reads every key: each must hold its last acknowledged content or, whole, one whose outcome is
    /// unknown. What is found is settled from then on.
    pub async fn verify(&self, client: &Client) -> Result<()> {
        self.verify_but(client, &BTreeSet::new()).await
    }

    /// As [`Ledger::verify`], but for keys that are reported to have gone back in time: these may hold, whole, whatever they
    /// once were acknowledged to hold, or nothing.
    pub async fn verify_but(&self, client: &Client, reported: &BTreeSet<String>) -> Result<()> {
        let holdings = self.lock().clone();
        for (key, holding) in holdings {
            let found = read(client, &key).await.with_context(|| format!("reading {key}"))?;
            let past = self.past(&key, reported.contains(&key));
            let now = std::iter::once(holding.settled).chain(holding.unknown.iter().copied());
            let mut allowed = now.chain(past);
            let Some(content) = allowed.find(|content| content.bytes() == found) else {
                let length = found.map(|bytes| bytes.len());
                bail!("{key} holds {length:?} bytes that are none of {holding:?}");
            };
            self.lock().insert(key, Holding { settled: content, unknown: Vec::new() });
        }
        self.verify_listing(client).await
    }

    pub(crate) fn past(&self, key: &str, is_allowed: bool) -> Vec<Content> {
        if !is_allowed {
            return Vec::new();
        }
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let mut past = past.get(key).cloned().unwrap_or_default();
        past.push(Content::Absent);
        past
    }

    async fn verify_listing(&self, client: &Client) -> Result<()> {
        let mut listed = BTreeMap::new();
        let mut pages = client.list_objects_v2().bucket(BUCKET).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page?.contents() {
                listed.insert(object.key().unwrap_or_default().to_owned(), object.size().unwrap_or_default());
            }
        }
        let expected: BTreeMap<String, i64> = self
            .lock()
            .iter()
            .filter_map(|(key, holding)| match holding.settled {
                Content::Absent => None,
                Content::Seeded { length_bytes, .. } => {
                    Some((key.clone(), i64::try_from(length_bytes).ok()?))
                }
            })
            .collect();
        ensure!(listed == expected, "the listing differs: {listed:?} for {expected:?}");
        Ok(())
    }
}

/// An object whose body broke off behind its head.
#[derive(Debug)]
pub(crate) struct CutOff;

impl std::fmt::Display for CutOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body broke off")
    }
}

pub(crate) async fn read(client: &Client, key: &str) -> Result<Option<Vec<u8>>> {
    match decided(client.get_object().bucket(BUCKET).key(key).send().await)? {
        Ok(got) => Ok(Some(got.body.collect().await.context(CutOff)?.to_vec())),
        Err(refusal) if refusal.status == 404 => Ok(None),
        Err(refusal) => Err(refused(key, &refusal)),
    }
}
