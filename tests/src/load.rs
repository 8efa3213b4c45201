//! A steady load, which writes down in a ledger what was acknowledged and what was in flight.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use tokio::task::JoinSet;

use crate::client::decided;
use crate::content::{Choices, seeded_bytes};
pub use crate::ledger::{Content, Ledger};
use crate::ledger::{CutOff, read};

/// The bucket the load works in.
pub const BUCKET: &str = "load";
const PART_BYTES: usize = 5 << 20;
const KEYS_PER_WORKER: u64 = 40;
const LARGE_BYTES: usize = 1_500_000;
const PAUSE_UNAVAILABLE: Duration = Duration::from_millis(200);
/// So many more writes are acknowledged when a load goes on, on however loaded a machine within this time.
const GOES_ON: u64 = 20;
const GOES_ON_WITHIN: Duration = Duration::from_mins(1);

/// What the workers do when the server refuses a write, or goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Stop the worker: the server was expected to die.
    Stop,
    /// Fail the load: the server was expected to go on.
    Fail,
    /// Go on after 503, which may have done the write or not; fail the load for anything else.
    AcceptUnavailable,
    /// As `AcceptUnavailable`; and what is read may be older than what was acknowledged, or nothing, or end when it is lost
    /// while it is read.
    AcceptLoss,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    workers: JoinSet<Result<()>>,
    enough: Arc<AtomicBool>,
    ledger: Arc<Ledger>,
}

impl Load {
    /// Starts `workers` tasks, each writing keys of its own: small and large puts, overwrites,
    /// multipart uploads, copies, deletes of one key and of several, and reads of what it wrote.
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
        Self { workers: set, enough, ledger: Arc::clone(ledger) }
    }

    /// Waits until some more writes were acknowledged than `before`: the load goes on.
    pub async fn goes_on(&mut self, before: u64) -> Result<()> {
        let begun = Instant::now();
        while self.ledger.acknowledged() <= before + GOES_ON {
            if let Some(ended) = self.workers.try_join_next() {
                ended.context("a worker panicked")??;
            }
            let more = self.ledger.acknowledged().saturating_sub(before);
            ensure!(begun.elapsed() < GOES_ON_WITHIN, "writes do not go on: {more} in {GOES_ON_WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
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

/// A refusal as an error; a 503 can be told from the others.
pub(crate) fn refused(what: &str, refusal: &crate::client::Refusal) -> anyhow::Error {
    let text = format!("{what}: {refusal:?}");
    if refusal.status == 503 { Unavailable(text).into() } else { anyhow::anyhow!(text) }
}

/// What became of one key of a DeleteObjects, as if it had been the only one.
fn refusal_of(error: &aws_sdk_s3::types::Error) -> crate::client::Refusal {
    let code = error.code().unwrap_or_default();
    let status = match code {
        "ServiceUnavailable" | "SlowDown" => 503,
        "InternalError" => 500,
        _ => 400,
    };
    crate::client::Refusal::new(status, code)
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
        let key = self.key();
        let seed = self.choices.next_u64();
        match self.choices.below(100) {
            0..64 => {
                let length_bytes = usize::try_from(self.choices.below(40_000)).unwrap_or_default();
                self.put(&key, Content::Seeded { seed, length_bytes }).await
            }
            64..67 => self.copy(&key).await,
            67..70 => self.delete_many(&key).await,
            70..80 => self.put(&key, Content::Seeded { seed, length_bytes: LARGE_BYTES }).await,
            80..82 => self.multipart(&key, seed).await,
            82..90 => self.delete(&key).await,
            _ => self.read_back(&key).await,
        }
    }

    /// One of the keys that only this worker writes.
    fn key(&mut self) -> String {
        format!("w{}/{}", self.number, self.choices.below(KEYS_PER_WORKER))
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

    /// Copies onto the key another one of which it is certain what it holds; deletes the key if there is none.
    async fn copy(&mut self, key: &str) -> Result<()> {
        let from = self.key();
        let source = self.ledger.holding(&from);
        // What may be lost again is certain of no key.
        let is_certain = source.unknown.is_empty() && self.on_failure != OnFailure::AcceptLoss;
        if source.settled == Content::Absent || from == key || !is_certain {
            return self.delete(key).await;
        }
        let content = source.settled;
        self.ledger.begin(key, content);
        let request = self.client.copy_object().bucket(BUCKET).key(key);
        let sent = request.copy_source(format!("{BUCKET}/{from}")).send().await;
        self.settle(key, content, decided(sent)?.map(|_| ()))
    }

    async fn delete_many(&mut self, key: &str) -> Result<()> {
        let keys = BTreeSet::from([key.to_owned(), self.key(), self.key()]);
        let mut delete = Delete::builder();
        for key in &keys {
            self.ledger.begin(key, Content::Absent);
            delete = delete.objects(ObjectIdentifier::builder().key(key).build()?);
        }
        let sent = self.client.delete_objects().bucket(BUCKET).delete(delete.build()?).send().await;
        let answer = decided(sent)?;
        let settled = keys.iter().map(|key| {
            let decision = match &answer {
                Ok(answer) => match answer.errors().iter().find(|error| error.key() == Some(key)) {
                    None => Ok(()),
                    Some(error) => Err(refusal_of(error)),
                },
                Err(refusal) => Err(refusal.clone()),
            };
            self.settle(key, Content::Absent, decision)
        });
        // Each is written down, whatever became of the others.
        settled.collect::<Vec<_>>().into_iter().collect()
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
        let holding = self.ledger.holding(key);
        let found = match read(&self.client, key).await {
            Err(error) if error.is::<CutOff>() && self.on_failure == OnFailure::AcceptLoss => {
                return Err(Unavailable(format!("{key}: {error:#}")).into());
            }
            found => found?,
        };
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

    /// A 5xx may have done the write or not, and so may a 200 whose body was cut off; a 4xx has not.
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
                let is_refused = (400..500).contains(&refusal.status);
                if is_refused && self.on_failure != OnFailure::AcceptLoss {
                    self.ledger.refuse(key, content);
                }
                return Err(self.refused_upload(key, &refusal));
            }
        }
        Ok(())
    }
}
