//! How fast a rule moves objects from SSDs to disks, what that costs clients who read meanwhile, and how the disks are written.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::content::{Choices, content_md5};
use crate::disks::{Disks, Speed};
use crate::driver::{Operation, Outcome, Payload, Until, drive};
use crate::faults::{SIZES, Size};
use crate::target::{BUCKET, Target};

const WRITERS: usize = 16;
/// Few enough that the machine is not busy with them alone.
const READERS: usize = 8;
/// What clients read: it stays on the SSDs.
const READ_OBJECTS: u64 = 20_000;
const READ_BYTES: u64 = 16 << 10;
/// How often the counters are asked for. Each time the server writes all of them out, which must not be what the clients wait for.
const LOOK: Duration = Duration::from_millis(200);
/// Until what was written or begun last is flushed, and no longer in flight.
const SETTLING: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_mins(20);
const OUTCOMES: &str = "granary_lifecycle_total";
const BLOCKS: &str = "granary_lifecycle_blocks_read_total";
const WRITES: &str = "granary_drive_writes_total{class=\"hdd\"}";
const WRITTEN: &str = "granary_drive_written_bytes_total{class=\"hdd\"}";
const SEQUENTIAL: &str = "granary_drive_writes_sequential_total{class=\"hdd\"}";

/// The prefixes that are moved, one after the other: while nobody reads, and while clients do. Before each of the latter the clients read
/// while nothing moves, so that both are seen at the same hours.
const ALONE: &str = "alone";
const BESIDE: [&str; 4] = ["beside0", "beside1", "beside2", "beside3"];

/// In which order keys were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As they sort.
    Sorted,
    /// As if they were hashes.
    Shuffled,
}

/// What is moved: small objects also where those that lie together are met apart.
const CASES: [(Size, Order); 3] = {
    let [small, large] = SIZES;
    [(small, Order::Sorted), (small, Order::Shuffled), (large, Order::Sorted)]
};

/// How much clients read beside moves.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// As much as they can, on all cores.
    Full,
    /// So many objects a second, all clients together.
    PerSecond(NonZeroU32),
}

impl Load {
    /// When a read is sent at the earliest.
    fn due(self, number: u64) -> Duration {
        match self {
            Self::Full => Duration::ZERO,
            Self::PerSecond(reads) => Duration::from_secs_f64(number as f64 / f64::from(reads.get())),
        }
    }
}

/// What one size and order showed.
#[derive(Clone, Debug, Serialize)]
pub struct Transition {
    /// The size.
    pub objects: &'static str,
    /// The order of the keys.
    pub keys: Order,
    /// Bytes moved per second while nobody reads, in 10^6.
    pub alone_mb_per_s: f64,
    /// The same while clients read.
    pub beside_mb_per_s: f64,
    /// GETs per second of the clients while nothing moves.
    pub still_gets_per_s: f64,
    /// The same during the move.
    pub moving_gets_per_s: f64,
    /// The latency of all but one in a hundred GETs while nothing moves, in milliseconds.
    pub still_p99_ms: f64,
    /// The same during the move.
    pub moving_p99_ms: f64,
    /// Blocks of small objects that were read to move something of them.
    pub blocks_read: f64,
    /// Writes to shard files on disks.
    pub disk_writes: f64,
    /// How long they were on average, in KiB.
    pub disk_write_kib: f64,
    /// How many of them began where the last one of that drive's thread ended, from 0 to 1.
    pub disk_writes_sequential: f64,
}

impl Transition {
    /// Fills a new server below `dir` with twice `total_bytes` of objects of one size in one order, and has a rule move them: one half while
    /// nobody reads, the other one in parts while clients do.
    ///
    /// # Errors
    /// A server that does not answer, or a move that does not end.
    pub async fn measure(
        dir: &Path,
        (drives, speed): (usize, Speed),
        (size, order): (Size, Order),
        total_bytes: u64,
        (time, load): (Duration, Load),
    ) -> Result<Self> {
        let disks = Disks::make(dir, drives, (speed, 2 * total_bytes))?;
        let server = disks.start(dir, &["--debug-lifecycle-day-seconds", "1"]).await?;
        disks.slow_down(&server.target)?;
        let target = &server.target;
        let rounds = BESIDE.len() as u64;
        let objects_of_round = (total_bytes / size.object_bytes / rounds).max(1);
        let objects = objects_of_round * rounds;
        fill(target, ("read", Order::Sorted), READ_BYTES, READ_OBJECTS).await?;
        fill(target, (ALONE, order), size.object_bytes, objects).await?;
        for prefix in BESIDE {
            fill(target, (prefix, order), size.object_bytes, objects_of_round).await?;
        }
        tokio::time::sleep(SETTLING).await;
        let begun = begin(target, ALONE).await?;
        let alone = moved(target, begun, objects).await?;
        let (mut beside, mut all) = (Duration::ZERO, objects);
        let (mut still, mut during) = (Outcome::default(), Outcome::default());
        for prefix in BESIDE {
            // With a day of a second, rules are followed all the time, whether anything is due or not.
            delete_rules(target).await?;
            tokio::time::sleep(SETTLING).await;
            let (reads, ()) = read_until(target, load, passed(target, time / 2)).await?;
            still = join(still, reads);
            all += objects_of_round;
            let begun = begin(target, prefix).await?;
            let (reads, took) = read_until(target, load, moved(target, begun, all)).await?;
            during = join(during, reads);
            beside += took;
        }
        let megabytes = (objects * size.object_bytes) as f64 / 1e6;
        let counter = async |series: &str| target.counter(series).await.unwrap_or_default();
        let (writes, written) = (counter(WRITES).await, counter(WRITTEN).await);
        Ok(Self {
            objects: size.name,
            keys: order,
            alone_mb_per_s: megabytes / alone.as_secs_f64().max(1e-9),
            beside_mb_per_s: megabytes / beside.as_secs_f64().max(1e-9),
            still_gets_per_s: still.per_second(),
            moving_gets_per_s: during.per_second(),
            still_p99_ms: still.quantile_ms(990),
            moving_p99_ms: during.quantile_ms(990),
            blocks_read: counter(BLOCKS).await,
            disk_writes: writes,
            disk_write_kib: written / writes.max(1.0) / 1024.0,
            disk_writes_sequential: counter(SEQUENTIAL).await / writes.max(1.0),
        })
    }

    /// Those sizes and orders whose name `selects`, one after the other.
    ///
    /// # Errors
    /// As [`Transition::measure`].
    pub async fn measure_all(
        dir: &Path,
        drives: (usize, Speed),
        total_bytes: u64,
        (time, load): (Duration, Load),
        selects: impl Fn(&str) -> bool,
    ) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        let cases = CASES.into_iter().enumerate();
        for (number, case) in cases.filter(|(_, (size, order))| selects(&name(size.name, *order))) {
            let dir = dir.join(format!("case{number}"));
            all.push(Self::measure(&dir, drives, case, total_bytes, (time, load)).await?);
            std::fs::remove_dir_all(&dir).context("the drives of a case")?;
        }
        Ok(all)
    }

    /// For people.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{:<25} moved at {:>6.1} MB/s, {:>6.1} MB/s beside GETs; GET {:>6.0}/s, p99 {:.2} ms, during the move {:>6.0}/s, p99 {:.2} ms ({:.2} times); {:.0} blocks read, {:.0} writes to disks of {:.0} KiB, {:.1} % sequential",
            name(self.objects, self.keys),
            self.alone_mb_per_s,
            self.beside_mb_per_s,
            self.still_gets_per_s,
            self.still_p99_ms,
            self.moving_gets_per_s,
            self.moving_p99_ms,
            self.moving_p99_ms / self.still_p99_ms.max(1e-9),
            self.blocks_read,
            self.disk_writes,
            self.disk_write_kib,
            100.0 * self.disk_writes_sequential
        )
    }
}

/// What reports call a size and order, and `--only` selects them by.
fn name(objects: &str, keys: Order) -> String {
    let keys = if keys == Order::Shuffled { ", shuffled" } else { "" };
    format!("{objects}{keys}")
}

fn path((prefix, order): (&str, Order), number: u64) -> String {
    match order {
        Order::Sorted => format!("/{BUCKET}/{prefix}/{number:08}"),
        Order::Shuffled => format!("/{BUCKET}/{prefix}/{:016x}", Choices::new(number).next_u64()),
    }
}

async fn fill(target: &Target, keys: (&'static str, Order), length_bytes: u64, objects: u64) -> Result<()> {
    let writers = WRITERS as u64;
    let put = move |client, sequence| {
        let number = sequence * writers + client;
        (number < objects).then(|| Operation {
            payload: Payload::Block(length_bytes),
            ..Operation::new("PUT", path(keys, number))
        })
    };
    drive(target, WRITERS, Until::Done, put).await.map(drop)
}

/// Has clients read until `end` is there, and not longer. What they saw, and what `end` came to.
async fn read_until<T>(
    target: &Target,
    load: Load,
    end: impl Future<Output = Result<T>>,
) -> Result<(Outcome, T)> {
    let ended = Arc::new(AtomicBool::new(false));
    let get = {
        let ended = Arc::clone(&ended);
        move |client: u64, sequence: u64| {
            let number = Choices::new(client << 40 | sequence).below(READ_OBJECTS);
            let due = load.due(sequence * READERS as u64 + client);
            (!ended.load(Ordering::Relaxed))
                .then(|| Operation { due, ..Operation::new("GET", path(("read", Order::Sorted), number)) })
        }
    };
    let end = async {
        let end = end.await;
        ended.store(true, Ordering::Relaxed);
        end
    };
    let (reads, end) = tokio::join!(drive(target, READERS, Until::Done, get), end);
    Ok((reads?, end?))
}

fn join(mut all: Outcome, part: Outcome) -> Outcome {
    all.elapsed += part.elapsed;
    all.units += part.units;
    all.bytes += part.bytes;
    all.latencies_us.extend(part.latencies_us);
    all.latencies_us.sort_unstable();
    all
}

/// Lets what has this prefix, and nothing else, move after a day.
async fn set_rule(target: &Target, prefix: &str) -> Result<()> {
    let rule = format!(
        "<Rule><ID>{prefix}</ID><Filter><And><Prefix>{prefix}/</Prefix><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter>\
         <Status>Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER_IR</StorageClass></Transition></Rule>"
    );
    let body = format!("<LifecycleConfiguration>{rule}</LifecycleConfiguration>");
    let put = Operation {
        extra: content_md5(body.as_bytes()),
        payload: Payload::Owned(body.into_bytes()),
        ..of_rules("PUT")
    };
    once(target, put).await
}

async fn delete_rules(target: &Target) -> Result<()> {
    once(target, of_rules("DELETE")).await
}

fn of_rules(method: &'static str) -> Operation {
    Operation { query: "lifecycle=".to_owned(), ..Operation::new(method, format!("/{BUCKET}")) }
}

async fn once(target: &Target, operation: Operation) -> Result<()> {
    let next = move |_, sequence| (sequence == 0).then(|| operation.clone());
    drive(target, 1, Until::Done, next).await.map(drop)
}

/// Has a rule move what has this prefix, and waits until the disks are written to. When that was.
async fn begin(target: &Target, prefix: &str) -> Result<Instant> {
    let before = target.counter(WRITES).await.unwrap_or_default();
    set_rule(target, prefix).await?;
    wait(target, WRITES, |writes| writes > before).await?;
    Ok(Instant::now())
}

/// Waits until so many objects were moved since the server began. How long that took.
async fn moved(target: &Target, begun: Instant, objects: u64) -> Result<Duration> {
    wait(target, OUTCOMES, |done| done >= objects as f64).await?;
    Ok(begun.elapsed())
}

/// Waits so long, and asks for the counters as often as who waits for a move does: what that costs clients is no part of what a move
/// costs them.
async fn passed(target: &Target, time: Duration) -> Result<()> {
    let begun = Instant::now();
    wait(target, OUTCOMES, |_| begun.elapsed() >= time).await
}

async fn wait(target: &Target, series: &str, is_enough: impl Fn(f64) -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let count = target.counter(series).await.unwrap_or_default();
        if is_enough(count) {
            return Ok(());
        }
        ensure!(begun.elapsed() < DEADLINE, "{series} was {count} after {DEADLINE:?}");
        tokio::time::sleep(LOOK).await;
    }
}
