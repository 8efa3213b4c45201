//! What versioning and encryption cost: small puts and gets in buckets of each kind, the buckets of one server taking
//! turns, so that a noisy machine is as noisy for all of them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::content::{Choices, content_md5};
use crate::driver::{Operation, Outcome, Payload, Until, drive};
use crate::fast::{Body, Connection};
use crate::target::{Target, start_granary};

const OBJECT_BYTES: u64 = 16 << 10;
const CLIENTS: usize = 32;
/// How many keys each client writes over and over.
const KEYS: u64 = 256;

const VERSIONING: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
const ENCRYPTION: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
    <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";

/// A kind of bucket: its name, and the configuration that makes it one.
type Kind = (&'static str, Option<(&'static str, &'static str)>);

const KINDS: [Kind; 3] = [
    ("plain", None),
    ("versioned", Some(("versioning", VERSIONING))),
    ("sse-s3", Some(("encryption", ENCRYPTION))),
];

/// What is done in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    PutNew,
    PutOver,
    Get,
}

impl Step {
    const ALL: [Self; 3] = [Self::PutNew, Self::PutOver, Self::Get];

    fn name(self) -> &'static str {
        match self {
            Self::PutNew => "put 16 KiB x32, new keys",
            Self::PutOver => "put 16 KiB x32, same keys",
            Self::Get => "get 16 KiB x32",
        }
    }

    async fn run(self, target: &Target, bucket: &'static str, round: u64, time: Duration) -> Result<Outcome> {
        let until = Until::Elapsed(time);
        let put =
            |path| Some(Operation { payload: Payload::Block(OBJECT_BYTES), ..Operation::new("PUT", path) });
        let over = move |client, number: u64| format!("/{bucket}/o/{client:03}/{:03}", number % KEYS);
        match self {
            Self::PutNew => {
                drive(target, CLIENTS, until, move |client, n| {
                    put(format!("/{bucket}/n{round}/{client:03}/{n:06}"))
                })
                .await
            }
            Self::PutOver => drive(target, CLIENTS, until, move |client, n| put(over(client, n))).await,
            Self::Get => {
                let get = move |client: u64, n| {
                    let mut choices = Choices::new(client << 40 | n);
                    let writer = choices.below(CLIENTS as u64);
                    // The first keys of every client were written whatever the speed.
                    Some(Operation::new("GET", over(writer, choices.below(8))))
                };
                drive(target, CLIENTS, until, get).await
            }
        }
    }
}

/// What one kind of bucket showed.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// The kind of bucket.
    pub bucket: &'static str,
    /// What was done.
    pub step: &'static str,
    /// Objects per second: the median of the rounds.
    pub per_s: f64,
    /// The median latency in that round, in milliseconds.
    pub p50_ms: f64,
    /// The latency of all but one in a hundred in that round, in milliseconds.
    pub p99_ms: f64,
    /// Its rate over that of plain buckets: the median of the rounds' ratios.
    pub of_plain: f64,
}

impl Cost {
    /// A line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { bucket, step, per_s, p50_ms, p99_ms, of_plain } = self;
        format!(
            "{step:<28} {bucket:<10} {per_s:>9.0} /s   p50 {p50_ms:>6.2} ms  p99 {p99_ms:>6.2} ms   {of_plain:>5.2} of plain"
        )
    }
}

/// Measures everything in each kind of bucket on a new server of `drives` drives below `dir`.
///
/// # Errors
/// When the server fails.
pub async fn measure(dir: &Path, drives: usize, rounds: usize, time: Duration) -> Result<Vec<Cost>> {
    let server = start_granary(dir, drives).await?;
    for kind in KINDS {
        make(&server.target, kind).await?;
    }
    let mut costs = Vec::new();
    for step in Step::ALL {
        let mut outcomes: Vec<Vec<Outcome>> = KINDS.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds.max(1) {
            for ((name, _), outcomes) in KINDS.iter().zip(&mut outcomes) {
                outcomes.push(step.run(&server.target, name, round as u64, time).await?);
            }
        }
        let plain: Vec<f64> =
            outcomes.iter().flat_map(|of| of.iter()).take(rounds.max(1)).map(Outcome::per_second).collect();
        for ((name, _), outcomes) in KINDS.iter().zip(outcomes) {
            costs.extend(cost(name, step, outcomes, &plain));
        }
    }
    Ok(costs)
}

fn cost(bucket: &'static str, step: Step, outcomes: Vec<Outcome>, plain: &[f64]) -> Option<Cost> {
    let mut ratios: Vec<f64> =
        outcomes.iter().zip(plain).map(|(outcome, plain)| outcome.per_second() / plain.max(1e-9)).collect();
    ratios.sort_by(f64::total_cmp);
    let mut outcomes = outcomes;
    outcomes.sort_by(|left, right| left.per_second().total_cmp(&right.per_second()));
    let median = outcomes.get(outcomes.len() / 2)?;
    Some(Cost {
        bucket,
        step: step.name(),
        per_s: median.per_second(),
        p50_ms: median.quantile_ms(500),
        p99_ms: median.quantile_ms(990),
        of_plain: ratios.get(ratios.len() / 2).copied()?,
    })
}

async fn make(target: &Target, (name, configuration): Kind) -> Result<()> {
    let host = target.host_for(0)?;
    let (signer, mut connection) = (target.signer(host)?, Connection::open(host).await?);
    let path = format!("/{name}");
    let answer = connection.exchange(&signer.head("PUT", &path, "", 0, "")?, Body::Bytes(&[])).await?;
    ensure!(answer.status == 200, "creating the bucket {name} answered {}", answer.status);
    if let Some((parameter, document)) = configuration {
        let query = format!("{parameter}=");
        let digest = content_md5(document.as_bytes());
        let head = signer.head("PUT", &path, &query, document.len() as u64, &digest)?;
        let answer = connection.exchange(&head, Body::Bytes(document.as_bytes())).await?;
        ensure!(answer.status == 200, "configuring the bucket {name} answered {}", answer.status);
    }
    Ok(())
}
