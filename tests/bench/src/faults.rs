//! What a lost drive or node costs: reads while it is gone, and how fast it is healed, with small objects and
//! with large ones. A heal should go by the bytes of the drive, not by how many objects they are.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::cluster::Cluster;
use crate::content::Choices;
use crate::driver::{Operation, Outcome, Payload, Until, drive};
use crate::target::{BUCKET, Target, granary_says, start_granary};

const READERS: usize = 32;
const WRITERS: usize = 16;
const PAGE_BYTES: u64 = 4096;
const HEALED_WITHIN: Duration = Duration::from_mins(20);

/// One size of objects.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// What reports call it.
    pub name: &'static str,
    /// Of each object.
    pub object_bytes: u64,
}

/// The sizes whose heals are compared.
pub const SIZES: [Size; 2] = [
    Size { name: "10 KB objects", object_bytes: 10_000 },
    Size { name: "64 MiB objects", object_bytes: 64 << 20 },
];

/// What one size showed.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    /// The size.
    pub objects: &'static str,
    /// Body bytes read per second before, in 10^6.
    pub healthy_mb_per_s: f64,
    /// The same with one of the drives emptied.
    pub degraded_mb_per_s: f64,
    /// The median latency of a read before, in milliseconds.
    pub healthy_p50_ms: f64,
    /// The same with one of the drives emptied.
    pub degraded_p50_ms: f64,
    /// Bytes of shard files that the lost drive had.
    pub lost_bytes: u64,
    /// How long the heal took, in seconds.
    pub heal_s: f64,
    /// Shard bytes brought back per second, in 10^6.
    pub heal_mb_per_s: f64,
}

impl Loss {
    /// Fills a new server of `drives` drives below `dir` with `total_bytes` of objects of one size, empties a drive, and
    /// measures.
    ///
    /// # Errors
    /// A server that does not answer, or a heal that does not end well.
    pub async fn of_drive(
        dir: &Path,
        drives: usize,
        size: Size,
        total_bytes: u64,
        time: Duration,
    ) -> Result<Self> {
        let server = start_granary(dir, drives).await?;
        let target = &server.target;
        let objects = (total_bytes / size.object_bytes).max(1);
        fill(target, size, objects).await?;
        let healthy = read(target, objects, time).await?;
        let lost = dir.join("d2");
        let lost_bytes = bytes_of_shards(&lost)?;
        fs::remove_dir_all(&lost).context("emptying a drive")?;
        fs::create_dir_all(&lost).context("emptying a drive")?;
        let degraded = read(target, objects, time).await?;
        let heal_s = heal(target, &[lost], lost_bytes).await?;
        Ok(Self::told(size, (&healthy, &degraded), lost_bytes, heal_s))
    }

    /// As [`Loss::of_drive`], of a cluster that loses a node with its drives and is given another one.
    ///
    /// # Errors
    /// A node that does not answer, or a heal that does not end well.
    pub async fn of_node(
        dir: &Path,
        (nodes, drives): (usize, usize),
        size: Size,
        total_bytes: u64,
        time: Duration,
    ) -> Result<Self> {
        let mut cluster = Cluster::start(dir, nodes, drives).await?;
        let objects = (total_bytes / size.object_bytes).max(1);
        fill(&cluster.target, size, objects).await?;
        let healthy = read(&cluster.target, objects, time).await?;
        let lost_bytes = bytes_of_shards(&cluster.to_be_lost())?;
        let all_bytes = bytes_of_all(&cluster.node_dirs())?;
        cluster.lose_node()?;
        let degraded = read(&cluster.target, objects, time).await?;
        cluster.replace_lost().await?;
        let heal_s = heal(&cluster.target, &cluster.node_dirs(), all_bytes).await?;
        Ok(Self::told(size, (&healthy, &degraded), lost_bytes, heal_s))
    }

    fn told(size: Size, (healthy, degraded): (&Outcome, &Outcome), lost_bytes: u64, heal_s: f64) -> Self {
        Self {
            objects: size.name,
            healthy_mb_per_s: healthy.megabytes_per_second(),
            degraded_mb_per_s: degraded.megabytes_per_second(),
            healthy_p50_ms: healthy.quantile_ms(500),
            degraded_p50_ms: degraded.quantile_ms(500),
            lost_bytes,
            heal_s,
            heal_mb_per_s: lost_bytes as f64 / 1e6 / heal_s.max(1e-9),
        }
    }

    /// For people.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{:<15} GET {:>7.1} MB/s ({:.2} ms), a drive lost {:>7.1} MB/s ({:.2} ms); heal of {:.0} MB in {:.1} s: {:.0} MB/s",
            self.objects,
            self.healthy_mb_per_s,
            self.healthy_p50_ms,
            self.degraded_mb_per_s,
            self.degraded_p50_ms,
            self.lost_bytes as f64 / 1e6,
            self.heal_s,
            self.heal_mb_per_s
        )
    }
}

/// Heals until there are so many bytes of shards below `dirs`. Returns how long that took, in seconds. One machine is asked for it; a
/// cluster heals by itself what a removed node had, and is asked afterwards whether all is well.
async fn heal(target: &Target, dirs: &[PathBuf], wanted_bytes: u64) -> Result<f64> {
    let begun = Instant::now();
    let is_cluster = target.hosts.len() > 1;
    if !is_cluster {
        granary_says(target, &["heal", "--json"])?;
    }
    let mut healed_bytes = bytes_of_all(dirs)?;
    while is_cluster && healed_bytes < wanted_bytes && begun.elapsed() < HEALED_WITHIN {
        tokio::time::sleep(Duration::from_millis(100)).await;
        healed_bytes = bytes_of_all(dirs)?;
    }
    let heal_s = begun.elapsed().as_secs_f64();
    ensure!(healed_bytes >= wanted_bytes, "there are {healed_bytes} of {wanted_bytes} bytes after the heal");
    if is_cluster {
        granary_says(target, &["heal", "--json"]).context("what healed by itself")?;
    }
    Ok(heal_s)
}

fn path(number: u64) -> String {
    format!("/{BUCKET}/fault/{number:08}")
}

async fn fill(target: &Target, size: Size, objects: u64) -> Result<()> {
    let writers = WRITERS as u64;
    let put = move |client, sequence| {
        let number = sequence * writers + client;
        (number < objects).then(|| Operation {
            payload: Payload::Block(size.object_bytes),
            ..Operation::new("PUT", path(number))
        })
    };
    drive(target, WRITERS, Until::Done, put).await.map(drop)
}

async fn read(target: &Target, objects: u64, time: Duration) -> Result<Outcome> {
    let get = move |client: u64, sequence: u64| {
        Some(Operation::new("GET", path(Choices::new(client << 40 | sequence).below(objects))))
    };
    let readers = READERS.min(usize::try_from(objects)?);
    drive(target, readers, Until::Elapsed(time), get).await
}

fn bytes_of_all(dirs: &[PathBuf]) -> Result<u64> {
    dirs.iter().map(|dir| bytes_of_shards(dir)).sum()
}

/// What the shard files of a drive take, or of all drives of a node.
fn bytes_of_shards(dir: &Path) -> Result<u64> {
    let volumes = dir.join("volumes");
    if volumes.exists() {
        return bytes_below(&volumes);
    }
    let mut sum = 0;
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let volumes = entry?.path().join("volumes");
        sum += if volumes.exists() { bytes_below(&volumes)? } else { 0 };
    }
    Ok(sum)
}

/// What the files below `dir` take in whole pages: appending pads the end of a file to one, a heal ends where the data does.
fn bytes_below(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let entry = entry?;
        let kind = match entry.metadata() {
            Ok(kind) => kind,
            // Servers are at work.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("{}", entry.path().display())),
        };
        sum +=
            if kind.is_dir() { bytes_below(&entry.path())? } else { kind.len().next_multiple_of(PAGE_BYTES) };
    }
    Ok(sum)
}
