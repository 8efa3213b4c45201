//! Runs one kind of operation from many clients at once, each sending its next request when the last
//! is answered and is due, and measures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::fast::{Body, Connection};
use crate::target::Target;

/// What to send.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The HTTP method.
    pub method: &'static str,
    /// The path as it goes on the wire.
    pub path: String,
    /// The sorted query as it goes on the wire.
    pub query: String,
    /// Further header lines, each ended.
    pub extra: String,
    /// The body.
    pub payload: Payload,
    /// How many things it does: keys in a DeleteObjects, or 1.
    pub units: u64,
    /// How long after the begin of the scenario it is sent at the earliest. Its latency counts from when it is sent.
    pub due: Duration,
}

/// An operation's body.
#[derive(Clone, Debug)]
pub enum Payload {
    /// None.
    Empty,
    /// Its own bytes.
    Owned(Vec<u8>),
    /// So many bytes of the scenario's block, repeated.
    Block(u64),
}

impl Operation {
    /// A request without query or body.
    pub fn new(method: &'static str, path: String) -> Self {
        let (query, extra) = (String::new(), String::new());
        Self { method, path, query, extra, payload: Payload::Empty, units: 1, due: Duration::ZERO }
    }
}

/// When a scenario ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time; the operation in progress is finished.
    Elapsed(Duration),
    /// When the operations run out.
    Done,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Things done (see [`Operation::units`]).
    pub units: u64,
    /// Body bytes sent and received.
    pub bytes: u64,
    /// Latencies of all requests, sorted, in microseconds.
    pub latencies_us: Vec<u32>,
    /// How many operations each client finished.
    pub finished: BTreeMap<u64, u64>,
}

impl Outcome {
    /// Things per second.
    pub fn per_second(&self) -> f64 {
        self.units as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Body bytes per second, in 10^6.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The latency that so many of a thousand requests stayed under, in milliseconds.
    pub fn quantile_ms(&self, per_thousand: usize) -> f64 {
        let rank = self.latencies_us.len().saturating_sub(1) * per_thousand / 1000;
        self.latencies_us.get(rank).map(|latency| f64::from(*latency) / 1000.0).unwrap_or_default()
    }
}

/// Runs `clients` connections at once. `next(client, sequence)` gives each client's operations.
pub async fn drive<F>(target: &Target, clients: usize, until: Until, next: F) -> Result<Outcome>
where
    F: Fn(u64, u64) -> Option<Operation> + Send + Sync + 'static,
{
    let next = Arc::new(next);
    let mut workers = JoinSet::new();
    let started = Instant::now();
    for client in 0..clients as u64 {
        let (target, next) = (target.clone(), Arc::clone(&next));
        workers.spawn(async move { work(&target, client, started, until, next.as_ref()).await });
    }
    let mut outcome = Outcome::default();
    while let Some(worker) = workers.join_next().await {
        let part = worker.context("a client panicked")??;
        outcome.units += part.units;
        outcome.bytes += part.bytes;
        outcome.latencies_us.extend(part.latencies_us);
        outcome.finished.extend(part.finished);
    }
    outcome.elapsed = started.elapsed();
    outcome.latencies_us.sort_unstable();
    Ok(outcome)
}

async fn work<F>(target: &Target, client: u64, started: Instant, until: Until, next: &F) -> Result<Outcome>
where
    F: Fn(u64, u64) -> Option<Operation>,
{
    let host = target.host_for(client)?;
    let signer = target.signer(host)?;
    let mut connection = Connection::open(host).await?;
    let mut outcome = Outcome::default();
    for sequence in 0.. {
        if matches!(until, Until::Elapsed(limit) if started.elapsed() >= limit) {
            break;
        }
        let Some(operation) = next(client, sequence) else { break };
        let body = match &operation.payload {
            Payload::Empty => Body::Bytes(&[]),
            Payload::Owned(bytes) => Body::Bytes(bytes),
            Payload::Block(length) => target.block_body(*length),
        };
        // Even no time at all would be slept until the next millisecond.
        if let Some(early) = operation.due.checked_sub(started.elapsed()) {
            tokio::time::sleep(early).await;
        }
        let begun = Instant::now();
        let head = signer.head(
            operation.method,
            &operation.path,
            &operation.query,
            body.length_bytes(),
            &operation.extra,
        )?;
        let answer = connection.exchange(&head, body).await?;
        let latency_us = begun.elapsed().as_micros();
        ensure!(
            matches!(answer.status, 200 | 204 | 206),
            "{} {} answered {}",
            operation.method,
            operation.path,
            answer.status
        );
        outcome.latencies_us.push(u32::try_from(latency_us).unwrap_or(u32::MAX));
        outcome.units += operation.units;
        outcome.bytes += body.length_bytes() + answer.body_bytes;
    }
    outcome.finished.insert(client, outcome.latencies_us.len() as u64);
    Ok(outcome)
}
