//! A steady load with a memory: it knows what was acknowledged, what was in flight, and what each
//! key may therefore hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio::task::JoinSet;

use crate::client::decided;
use crate::content::{Choices, seeded_bytes};

/// The bucket the load works in.
pub const BUCKET: &str = "load";
const PART_BYTES: usize = 5 << 20;
const KEYS_PER_WORKER: u64 = 40;
const LARGE_BYTES: usize = 1_500_000;
const PAUSE_UNAVAILABLE: std::time::Duration = std::time::Duration::from_millis(200);

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
    fn bytes(self) -> Option<Vec<u8>> {
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

#[derive(Clone, Debug)]
struct Holding {
    settled: Content,
    unknown: Vec<Content>,
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

    /// How many bytes all keys hold together, as far as that is settled.
    pub fn settled_bytes(&self) -> u64 {
        let length = |holding: &Holding| match holding.settled {
            Content::Absent => 0,
            Content::Seeded { length_bytes, .. } => length_bytes as u64,
        };
        self.lock().values().map(length).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Holding>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, key: &str, content: Content) {
        let mut keys = self.lock();
        let none = Holding { settled: Content::Absent, unknown: Vec::new() };
        keys.entry(key.to_owned()).or_insert(none).unknown.push(content);
    }

    fn acknowledge(&self, key: &str, content: Content) {
        let before = self.lock().insert(key.to_owned(), Holding { settled: content, unknown: Vec::new() });
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.entry(key.to_owned()).or_default().extend(before.map(|before| before.settled));
        drop(past);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back a write that the server refused, and so did not do.
    fn refuse(&self, key: &str, content: Content) {
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

    fn past(&self, key: &str, is_allowed: bool) -> Vec<Content> {
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

async fn read(client: &Client, key: &str) -> Result<Option<Vec<u8>>> {
    match decided(client.get_object().bucket(BUCKET).key(key).send().await)? {
        Ok(got) => Ok(Some(got.body.collect().await.context("the body")?.to_vec())),
        Err(refusal) if refusal.status == 404 => Ok(None),
        Err(refusal) => Err(refused(key, &refusal)),
    }
}

/// What the workers do when the server refuses a write, or goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Stop the worker: the server was expected to die.
    Stop,
    /// Fail the load: the server was expected to go on.
    Fail,
    /// Go on after 503, which may have done the write or not; fail the load for anything else.
    AcceptUnavailable,
    /// As `AcceptUnavailable`; and what is read may be older than what was acknowledged, or nothing.
    AcceptLoss,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    workers: JoinSet<Result<()>>,
    enough: Arc<AtomicBool>,
}

impl Load {
    /// Starts `workers` tasks, each writing keys of its own: small and large puts, overwrites,
    /// multipart uploads, deletes, and reads of what it wrote.
    pub fn start(
        client: &Client,
        ledger: &Arc<Ledger>,
        workers: u64,
        seed: u64,
        on_failure: OnFailure,
    ) -> Self {
        Self::spread(std::slice::from_ref(client), ledger, workers, seed, on_failure)
    }

    /// As [`Load::start`], with the workers spread over several servers of one store.
    pub fn spread(
        clients: &[Client],
        ledger: &Arc<Ledger>,
        workers: u64,
        seed: u64,
        on_failure: OnFailure,
    ) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let mut set = JoinSet::new();
        for (number, client) in (0..workers).zip(clients.iter().cycle()) {
            let worker = Worker {
                client: client.clone(),
                ledger: Arc::clone(ledger),
                choices: Choices::new(seed ^ (number << 32)),
                number,
                on_failure,
            };
            let enough = Arc::clone(&enough);
            set.spawn(worker.run(enough));
        }
        Self { workers: set, enough }
    }

    /// Lets every worker finish its operation; returns the first failure.
    pub async fn finish(mut self) -> Result<()> {
        self.enough.store(true, Ordering::Relaxed);
        while let Some(worker) = self.workers.join_next().await {
            worker.context("a worker panicked")??;
        }
        Ok(())
    }
}

/// The server said 503.
#[derive(Debug)]
struct Unavailable(String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

fn refused(what: &str, refusal: &crate::client::Refusal) -> anyhow::Error {
    let text = format!("{what}: {refusal:?}");
    if refusal.status == 503 { Unavailable(text).into() } else { anyhow::anyhow!(text) }
}

struct Worker {
    client: Client,
    ledger: Arc<Ledger>,
    choices: Choices,
    number: u64,
    on_failure: OnFailure,
}

impl Worker {
    async fn run(mut self, enough: Arc<AtomicBool>) -> Result<()> {
        while !enough.load(Ordering::Relaxed) {
            if let Err(error) = self.step().await {
                match self.on_failure {
                    OnFailure::AcceptUnavailable | OnFailure::AcceptLoss if error.is::<Unavailable>() => {
                        tokio::time::sleep(PAUSE_UNAVAILABLE).await;
                    }
                    OnFailure::Stop => return Ok(()),
                    OnFailure::Fail | OnFailure::AcceptUnavailable | OnFailure::AcceptLoss => {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<()> {
        let key = format!("w{}/{}", self.number, self.choices.below(KEYS_PER_WORKER));
        let seed = self.choices.next_u64();
        match self.choices.below(100) {
            0..70 => {
                let length_bytes = usize::try_from(self.choices.below(40_000)).unwrap_or_default();
                self.put(&key, Content::Seeded { seed, length_bytes }).await
            }
            70..80 => self.put(&key, Content::Seeded { seed, length_bytes: LARGE_BYTES }).await,
            80..82 => self.multipart(&key, seed).await,
            82..90 => self.delete(&key).await,
            _ => self.read_back(&key).await,
        }
    }

    async fn put(&self, key: &str, content: Content) -> Result<()> {
        self.ledger.begin(key, content);
        let body = ByteStream::from(content.bytes().unwrap_or_default());
        let sent = self.client.put_object().bucket(BUCKET).key(key).body(body).send().await;
        self.settle(key, content, decided(sent)?.map(|_| ()))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.ledger.begin(key, Content::Absent);
        let sent = self.client.delete_object().bucket(BUCKET).key(key).send().await;
        self.settle(key, Content::Absent, decided(sent)?.map(|_| ()))
    }

    async fn multipart(&self, key: &str, seed: u64) -> Result<()> {
        let length_bytes = PART_BYTES + 4_321;
        let body = seeded_bytes(seed, length_bytes);
        let created = self.client.create_multipart_upload().bucket(BUCKET).key(key).send().await;
        let created = decided(created)?.map_err(|refusal| refused(key, &refusal))?;
        let upload = created.upload_id().context("upload id")?;
        let mut parts = Vec::new();
        for (number, part) in (1..).zip(body.chunks(PART_BYTES)) {
            let request = self.client.upload_part().bucket(BUCKET).key(key).upload_id(upload);
            let sent = request.part_number(number).body(ByteStream::from(part.to_vec())).send().await;
            let sent = decided(sent)?.map_err(|refusal| self.refused_upload(key, &refusal))?;
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
        }
        let content = Content::Seeded { seed, length_bytes };
        self.ledger.begin(key, content);
        let completed = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(upload);
        let sent = request.multipart_upload(completed).send().await;
        self.settle(key, content, decided(sent)?.map(|_| ()))
    }

    async fn read_back(&self, key: &str) -> Result<()> {
        let none = Holding { settled: Content::Absent, unknown: Vec::new() };
        let holding = self.ledger.lock().get(key).cloned().unwrap_or(none);
        let found = read(&self.client, key).await?;
        let past = self.ledger.past(key, self.on_failure == OnFailure::AcceptLoss);
        let mut allowed = std::iter::once(holding.settled).chain(holding.unknown).chain(past);
        ensure!(
            allowed.any(|content| content.bytes() == found),
            "{key} under load holds {:?} bytes",
            found.map(|bytes| bytes.len())
        );
        Ok(())
    }

    /// An upload may be lost with the database's last commits; its client begins anew, as after a 503.
    fn refused_upload(&self, key: &str, refusal: &crate::client::Refusal) -> anyhow::Error {
        let is_lost = matches!(refusal.code.as_str(), "NoSuchUpload" | "InvalidPart");
        if is_lost && self.on_failure == OnFailure::AcceptLoss {
            return Unavailable(format!("{key}: {refusal:?}")).into();
        }
        refused(key, refusal)
    }

    /// A 5xx may have done the write or not; any other refusal has not.
    fn settle(
        &self,
        key: &str,
        content: Content,
        decision: Result<(), crate::client::Refusal>,
    ) -> Result<()> {
        match decision {
            Ok(()) => self.ledger.acknowledge(key, content),
            Err(refusal) => {
                // What was answered with a lost upload may have been done before it was lost.
                if refusal.status < 500 && self.on_failure != OnFailure::AcceptLoss {
                    self.ledger.refuse(key, content);
                }
                return Err(self.refused_upload(key, &refusal));
            }
        }
        Ok(())
    }
}
