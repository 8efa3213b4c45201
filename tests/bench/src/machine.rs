//! What the machine itself can do, and what a process has used of it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use granary_drive::aligned_copy;
use md5::{Digest as _, Md5};
use rustix::fs::OFlags;
use sha2::Sha256;

use crate::content::seeded_bytes;

const HASHED_BYTES: usize = 64 << 20;
const APPEND_BYTES: usize = 64 << 10;
const SEQUENTIAL_BYTES: u64 = 1 << 30;
const DIRECT_BYTES: usize = 1 << 20;
const APPENDING: Duration = Duration::from_secs(2);
/// Linux counts process times in hundredths of a second everywhere that matters (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system CPU seconds a process has used, over all its threads.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("process times")?;
    let fields = stat.rsplit_once(')').context("process times")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

/// Peak resident memory in MiB since [`reset_peak_memory`].
pub fn peak_memory_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("process memory")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).context("VmHWM")?.parse()?;
    Ok(kib / 1024.0)
}

/// Starts measuring the peak anew.
pub fn reset_peak_memory(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("resetting the peak memory")
}

/// Empties the page cache; `false` if that is not permitted here.
#[must_use]
pub fn drop_page_cache() -> bool {
    // What is not written yet would stay.
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// The machine's own speeds, for scale.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Speeds {
    /// Appends of 64 KiB, each with fdatasync, one after another.
    pub flushes_per_s: f64,
    /// One gibibyte written sequentially and flushed once.
    pub sequential_mb_per_s: f64,
    /// The same past the page cache, a MiB at a time.
    pub direct_write_mb_per_s: f64,
    /// Reading it back past the page cache.
    pub direct_read_mb_per_s: f64,
    /// One core's MD5.
    pub md5_mb_per_s: f64,
    /// One core's SHA-256.
    pub sha256_mb_per_s: f64,
    /// One core's BLAKE3.
    pub blake3_mb_per_s: f64,
}

impl Speeds {
    /// For people.
    pub fn line(&self) -> String {
        format!(
            "machine: {:.0} flushes/s, {:.0} MB/s sequential ({:.0} written and {:.0} read past the page cache), MD5 {:.0}, \
             SHA-256 {:.0}, BLAKE3 {:.0} MB/s",
            self.flushes_per_s,
            self.sequential_mb_per_s,
            self.direct_write_mb_per_s,
            self.direct_read_mb_per_s,
            self.md5_mb_per_s,
            self.sha256_mb_per_s,
            self.blake3_mb_per_s
        )
    }

    /// Measures them, on the file system of `dir`.
    pub fn measure(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let data = seeded_bytes(2, HASHED_BYTES);
        let (direct_write_mb_per_s, direct_read_mb_per_s) =
            direct_mb_per_s(&dir.join("direct-probe")).context("past the page cache")?;
        Ok(Self {
            flushes_per_s: flushes_per_s(&dir.join("flush-probe"))?,
            sequential_mb_per_s: sequential_mb_per_s(&dir.join("write-probe"), &data)?,
            direct_write_mb_per_s,
            direct_read_mb_per_s,
            md5_mb_per_s: rate(&data, |data| Md5::digest(data)),
            sha256_mb_per_s: rate(&data, |data| Sha256::digest(data)),
            blake3_mb_per_s: rate(&data, blake3::hash),
        })
    }
}

fn rate<T>(data: &[u8], hash: impl Fn(&[u8]) -> T) -> f64 {
    let started = Instant::now();
    std::hint::black_box(hash(std::hint::black_box(data)));
    data.len() as f64 / 1e6 / started.elapsed().as_secs_f64()
}

fn flushes_per_s(path: &Path) -> Result<f64> {
    let block = seeded_bytes(3, APPEND_BYTES);
    let mut file = File::create(path)?;
    let started = Instant::now();
    let mut flushes = 0.0;
    while started.elapsed() < APPENDING {
        file.write_all(&block)?;
        file.sync_data()?;
        flushes += 1.0;
    }
    let elapsed = started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(flushes / elapsed)
}

fn sequential_mb_per_s(path: &Path, data: &[u8]) -> Result<f64> {
    let mut file = File::create(path)?;
    let started = Instant::now();
    let mut written = 0;
    while written < SEQUENTIAL_BYTES {
        file.write_all(data)?;
        written += data.len() as u64;
    }
    file.sync_data()?;
    let elapsed = started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(written as f64 / 1e6 / elapsed)
}

/// Writes and reads past the page cache.
fn direct_mb_per_s(path: &Path) -> Result<(f64, f64)> {
    let direct = i32::try_from(OFlags::DIRECT.bits())?;
    let mut file = File::options().create(true).truncate(true).write(true).custom_flags(direct).open(path)?;
    let mut piece = aligned_copy(&seeded_bytes(4, DIRECT_BYTES));
    let pieces = SEQUENTIAL_BYTES / DIRECT_BYTES as u64;
    let started = Instant::now();
    for _ in 0..pieces {
        file.write_all(&piece)?;
    }
    file.sync_data()?;
    let writing = started.elapsed().as_secs_f64();
    let mut file = File::options().read(true).custom_flags(direct).open(path)?;
    let started = Instant::now();
    for _ in 0..pieces {
        file.read_exact(&mut piece)?;
    }
    let reading = started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    let megabytes = SEQUENTIAL_BYTES as f64 / 1e6;
    Ok((megabytes / writing, megabytes / reading))
}
