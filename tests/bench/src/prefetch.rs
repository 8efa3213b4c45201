//! Whether it pays to prefetch small objects from disks: `granary tier prefetch` against clients that read them all, each once and
//! with an empty page cache.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::content::Choices;
use crate::disks::{Disks, Speed};
use crate::driver::{Operation, Outcome, Payload, Until, drive};
use crate::machine::drop_page_cache;
use crate::target::{BUCKET, Target, granary_says};

const CLIENTS: usize = 64;
const OBJECT_BYTES: u64 = 10_000;
/// Objects that are read in the order in which they were written, which suits the disks.
const IN_ORDER: &str = "in-order";
/// Objects that are read in another order, as an epoch of a training run reads them.
const SHUFFLED: &str = "shuffled";
/// Objects that are prefetched. None are read twice: a read may leave something in a cache.
const PREFETCHED: &str = "prefetched";

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Prefetch {
    /// How many objects were read each time.
    pub objects: u64,
    /// Of each.
    pub object_bytes: u64,
    /// Whether the disks were held to what disks can do.
    pub slow_disks: bool,
    /// Whether the page cache could be emptied before each measurement.
    pub cold: bool,
    /// GETs per second of 64 clients, in the order of writing.
    pub in_order_per_s: f64,
    /// The same in random order.
    pub shuffled_per_s: f64,
    /// Objects copied to SSDs per second, from the command's start to its end.
    pub prefetched_per_s: f64,
    /// The prefetch's rate by that of the GETs in order.
    pub ratio_in_order: f64,
    /// The prefetch's rate by that of the GETs in random order.
    pub ratio_shuffled: f64,
}

impl Prefetch {
    /// Writes three times `objects` small objects to the disks of a new server below `dir`, and measures.
    ///
    /// # Errors
    /// A server that does not answer, or a prefetch that leaves something out.
    pub async fn measure(dir: &Path, (drives, speed): (usize, Speed), objects: u64) -> Result<Self> {
        let total_bytes = 3 * objects * OBJECT_BYTES;
        let disks = Disks::make(dir, drives, (speed, total_bytes))?;
        let server = disks.start(dir, &["--warm-bytes", &(4 * total_bytes).to_string()]).await?;
        let target = &server.target;
        for prefix in [IN_ORDER, SHUFFLED, PREFETCHED] {
            fill(target, prefix, objects).await?;
        }
        // What was written last is flushed, and no longer in flight.
        tokio::time::sleep(Duration::from_secs(2)).await;
        disks.slow_down(target)?;
        let mut cold = drop_page_cache();
        let in_order = read(target, IN_ORDER, (0..objects).collect()).await?.per_second();
        cold &= drop_page_cache();
        let shuffled = read(target, SHUFFLED, shuffle(objects)).await?.per_second();
        cold &= drop_page_cache();
        let begun = Instant::now();
        prefetch(target, objects)?;
        let prefetched = objects as f64 / begun.elapsed().as_secs_f64().max(1e-9);
        Ok(Self {
            objects,
            object_bytes: OBJECT_BYTES,
            slow_disks: speed == Speed::Slow,
            cold,
            in_order_per_s: in_order,
            shuffled_per_s: shuffled,
            prefetched_per_s: prefetched,
            ratio_in_order: prefetched / in_order.max(1e-9),
            ratio_shuffled: prefetched / shuffled.max(1e-9),
        })
    }

    /// For people.
    #[must_use]
    pub fn line(&self) -> String {
        let megabytes = |per_s: f64| per_s * self.object_bytes as f64 / 1e6;
        format!(
            "{} objects of {} bytes on {} disks{}: prefetched {:.0}/s ({:.1} MB/s); {CLIENTS} clients GET {:.0}/s ({:.1} MB/s) in order, {:.0}/s ({:.1} MB/s) at random: {:.2} and {:.2} times",
            self.objects,
            self.object_bytes,
            if self.slow_disks { "slow" } else { "quick" },
            if self.cold { "" } else { " (WARM: the page cache could not be emptied)" },
            self.prefetched_per_s,
            megabytes(self.prefetched_per_s),
            self.in_order_per_s,
            megabytes(self.in_order_per_s),
            self.shuffled_per_s,
            megabytes(self.shuffled_per_s),
            self.ratio_in_order,
            self.ratio_shuffled
        )
    }
}

fn path(prefix: &str, number: u64) -> String {
    format!("/{BUCKET}/{prefix}/{number:08}")
}

async fn fill(target: &Target, prefix: &'static str, objects: u64) -> Result<()> {
    let writers = CLIENTS as u64;
    let put = move |client, sequence| {
        let number = sequence * writers + client;
        (number < objects).then(|| Operation {
            payload: Payload::Block(OBJECT_BYTES),
            extra: "x-amz-storage-class: STANDARD_IA\r\n".to_owned(),
            ..Operation::new("PUT", path(prefix, number))
        })
    };
    drive(target, CLIENTS, Until::Done, put).await.map(drop)
}

/// Reads all objects once, in this order.
async fn read(target: &Target, prefix: &'static str, order: Vec<u64>) -> Result<Outcome> {
    let (objects, clients) = (order.len() as u64, CLIENTS as u64);
    let get = move |client: u64, sequence: u64| {
        let number = order.get(usize::try_from(sequence * clients + client).ok()?)?;
        Some(Operation::new("GET", path(prefix, *number)))
    };
    let outcome = drive(target, CLIENTS, Until::Done, get).await?;
    ensure!(outcome.units == objects, "{} of {objects} objects were read", outcome.units);
    ensure!(outcome.bytes == objects * OBJECT_BYTES, "objects of another length were read");
    Ok(outcome)
}

/// The numbers below `count` in an order that is always the same.
fn shuffle(count: u64) -> Vec<u64> {
    let mut choices = Choices::new(1);
    let mut keyed: Vec<(u64, u64)> = (0..count).map(|number| (choices.next_u64(), number)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, number)| number).collect()
}

fn prefetch(target: &Target, objects: u64) -> Result<()> {
    let place = format!("s3://{BUCKET}/{PREFETCHED}/");
    let said = granary_says(target, &["tier", "prefetch", &place, "--json"])?;
    let report: serde_json::Value = serde_json::from_str(&said).context("what a prefetch says")?;
    let copied = report.get("copied").and_then(serde_json::Value::as_u64);
    ensure!(copied == Some(objects), "not everything was copied: {said}");
    Ok(())
}
