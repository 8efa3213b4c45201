//! The clients: each asks something of one of a few keys, through its node, and writes down what it was told. A key is
//! left for a new one when it has a history long enough, or when one of its requests was not answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use md5::{Digest as _, Md5};
use tokio::task::JoinSet;

use super::{Asked, Event, Told, Value, check};
use crate::client::{Refusal, decided};
use crate::content::{Choices, seeded_bytes};
use crate::load::BUCKET;

/// Keys in use at a time.
const SLOTS: u64 = 3;
/// Requests until a key is left; those already on their way come on top.
const REQUESTS_PER_KEY: u64 = 80;
/// Longer than a request may take; then nothing more is heard of it.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
const PAUSE_UNKNOWN: Duration = Duration::from_millis(100);
const SMALL_BYTES: usize = 3_000;
/// Too large to be packed.
const LARGE_BYTES: usize = 300_000;

/// All that was asked and told, by key.
#[derive(Debug)]
pub struct Journal {
    begun: Instant,
    next_value: AtomicU64,
    slots: Vec<AtomicU64>,
    keys: Mutex<BTreeMap<String, Vec<Event>>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            next_value: AtomicU64::new(1),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            keys: Mutex::default(),
        }
    }
}

impl Journal {
    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The key that the slot's next request is for.
    fn key(&self, slot: u64) -> Result<String> {
        let count = self.slot(slot)?.fetch_add(1, Ordering::Relaxed);
        Ok(format!("register/{slot}/{}", count / REQUESTS_PER_KEY))
    }

    /// Leaves the slot's key for a new one: unanswered requests make a history slow to check.
    fn leave_key(&self, slot: u64) -> Result<()> {
        let to_next = |count: u64| Some((count / REQUESTS_PER_KEY + 1) * REQUESTS_PER_KEY);
        let _ = self.slot(slot)?.fetch_update(Ordering::Relaxed, Ordering::Relaxed, to_next);
        Ok(())
    }

    fn slot(&self, slot: u64) -> Result<&AtomicU64> {
        self.slots.get(usize::try_from(slot)?).context("a slot")
    }

    fn write_down(&self, key: String, event: Event) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().push(event);
    }

    /// How many requests were answered, and how many were not.
    pub fn counts(&self) -> (usize, usize) {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = keys.values().flatten().filter(|event| event.told == Told::Unknown).count();
        (keys.values().map(Vec::len).sum::<usize>() - unknown, unknown)
    }

    /// Checks the history of every key.
    pub fn check(&self) -> Result<()> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().try_for_each(|(key, events)| check(key, events))
    }
}

/// The running clients.
#[derive(Debug)]
pub struct Registers {
    workers: JoinSet<Result<()>>,
    enough: Arc<AtomicBool>,
}

impl Registers {
    /// Starts one worker for each of `clients`, twice over.
    pub fn start(clients: &[Client], journal: &Arc<Journal>, seed: u64) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        for (number, client) in (0..).zip(clients.iter().chain(clients)) {
            let choices = Choices::new(seed ^ (number << 32));
            let worker =
                Worker { client: client.clone(), journal: Arc::clone(journal), choices, known: None };
            workers.spawn(worker.run(Arc::clone(&enough)));
        }
        Self { workers, enough }
    }

    /// Lets every worker finish its request.
    pub async fn finish(mut self) -> Result<()> {
        self.enough.store(true, Ordering::Relaxed);
        while let Some(worker) = self.workers.join_next().await {
            worker.context("a worker panicked")??;
        }
        Ok(())
    }
}

struct Worker {
    client: Client,
    journal: Arc<Journal>,
    choices: Choices,
    /// A value that a key was seen to hold, to put on condition of.
    known: Option<(String, Value)>,
}

impl Worker {
    async fn run(mut self, enough: Arc<AtomicBool>) -> Result<()> {
        while !enough.load(Ordering::Relaxed) {
            let slot = self.choices.below(SLOTS);
            if self.step(slot).await? == Told::Unknown {
                self.journal.leave_key(slot)?;
                tokio::time::sleep(PAUSE_UNKNOWN).await;
            }
        }
        Ok(())
    }

    async fn step(&mut self, slot: u64) -> Result<Told> {
        let key = self.journal.key(slot)?;
        let asked = self.choose(&key);
        let sent_us = self.journal.now_us();
        let told = match tokio::time::timeout(ANSWER_DEADLINE, self.ask(&key, asked)).await {
            Ok(told) => told?,
            Err(_) => Told::Unknown,
        };
        let answered_us = if told == Told::Unknown { u64::MAX } else { self.journal.now_us() };
        match (asked, told) {
            (_, Told::Held(Some(value)))
            | (Asked::Put(value) | Asked::PutIfAbsent(value) | Asked::PutIfMatch(_, value), Told::Done) => {
                self.known = Some((key.clone(), value));
            }
            _ => {}
        }
        self.journal.write_down(key, Event { asked, told, sent_us, answered_us });
        Ok(told)
    }

    fn choose(&mut self, key: &str) -> Asked {
        let value = || self.journal.next_value.fetch_add(1, Ordering::Relaxed);
        let known = self.known.as_ref().filter(|(known, _)| known == key).map(|(_, value)| *value);
        match (self.choices.below(10), known) {
            (0..4, _) => Asked::Get,
            (4, _) => Asked::Delete,
            (5 | 6, _) => Asked::PutIfAbsent(value()),
            (7 | 8, Some(known)) => Asked::PutIfMatch(known, value()),
            _ => Asked::Put(value()),
        }
    }

    async fn ask(&self, key: &str, asked: Asked) -> Result<Told> {
        let put = |value| {
            let body = ByteStream::from(body_of(value));
            self.client.put_object().bucket(BUCKET).key(key).body(body)
        };
        let done = match asked {
            Asked::Get => return self.get(key).await,
            Asked::Put(value) => decided(put(value).send().await).map(|done| done.map(drop)),
            Asked::PutIfAbsent(value) => {
                decided(put(value).if_none_match("*").send().await).map(|done| done.map(drop))
            }
            Asked::PutIfMatch(expected, value) => {
                decided(put(value).if_match(tag_of(expected)).send().await).map(|done| done.map(drop))
            }
            Asked::Delete => {
                let delete = self.client.delete_object().bucket(BUCKET).key(key);
                decided(delete.send().await).map(|done| done.map(drop))
            }
        };
        match done {
            Ok(Ok(())) => Ok(Told::Done),
            Ok(Err(refusal)) => refused(key, asked, &refusal),
            // The connection broke, or could not be made.
            Err(_) => Ok(Told::Unknown),
        }
    }

    async fn get(&self, key: &str) -> Result<Told> {
        let got = match decided(self.client.get_object().bucket(BUCKET).key(key).send().await) {
            Ok(Ok(got)) => got,
            Ok(Err(refusal)) if refusal.status == 404 => return Ok(Told::Held(None)),
            Ok(Err(refusal)) => return refused(key, Asked::Get, &refusal),
            Err(_) => return Ok(Told::Unknown),
        };
        let Ok(body) = got.body.collect().await else { return Ok(Told::Unknown) };
        let body = body.to_vec();
        let value = body.first_chunk().map(|first| Value::from_be_bytes(*first)).context("a body")?;
        ensure!(body == body_of(value), "{key} holds {} bytes that nobody has put", body.len());
        Ok(Told::Held(Some(value)))
    }
}

/// 503 leaves open what became of the request; the conditions' refusals say it; anything else is wrong.
fn refused(key: &str, asked: Asked, refusal: &Refusal) -> Result<Told> {
    match (asked, refusal.status, refusal.code.as_str()) {
        (_, 503, _) => Ok(Told::Unknown),
        (Asked::PutIfAbsent(_) | Asked::PutIfMatch(..), 412, "PreconditionFailed") => {
            Ok(Told::PreconditionFailed)
        }
        (Asked::PutIfMatch(..), 404, "NoSuchKey") => Ok(Told::NoSuchKey),
        _ => bail!("{key}: {asked:?} was answered with {refusal:?}"),
    }
}

/// The value, then bytes that follow from it. Some are too large to be packed.
fn body_of(value: Value) -> Vec<u8> {
    let length_bytes = if value.is_multiple_of(9) { LARGE_BYTES } else { SMALL_BYTES };
    let mut body = value.to_be_bytes().to_vec();
    body.extend(seeded_bytes(value, length_bytes));
    body
}

fn tag_of(value: Value) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(body_of(value))))
}
