//! SSDs and disks of one server: directories, of which those of the disks may be made as slow as disks are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::mount::Mount;
use crate::target::{Started, Target, free_host, granary_on, start};
use crate::throttle::{DiskSpeed, Throttle};

/// What a slow disk can do: 150 movements of the head and 160 MB a second.
const DISK: DiskSpeed = DiskSpeed { operations: 150, bytes: 160_000_000 };
/// A disk's share of what is written is at most so many times as long, with parity and what small stripes waste.
const STORED_TIMES: u64 = 4;
/// Room that stays free on a slow disk: images are sparse.
const SPARE_BYTES: u64 = 4 << 30;

/// What disks can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// What the file system can that the benchmark's directory is on.
    AsTheyAre,
    /// 150 operations and 160 MB a second each.
    Slow,
}

/// The drives' directories. Slow disks are unmounted when this is dropped, which must not be before their server.
#[derive(Debug)]
pub struct Disks {
    drives: Vec<(&'static str, PathBuf)>,
    slow: Option<Throttle>,
    _mounts: Vec<Mount>,
}

impl Disks {
    /// So many SSDs, and as many disks for `total_bytes` of objects, below `dir`.
    ///
    /// # Errors
    /// When slow disks cannot be made: that needs root.
    pub fn make(dir: &Path, count: usize, (speed, total_bytes): (Speed, u64)) -> Result<Self> {
        std::fs::create_dir_all(dir).context("the drives' directory")?;
        let slow = (speed == Speed::Slow).then(Throttle::create).transpose()?;
        let ssds = (1..=count).map(|number| ("ssd", dir.join(format!("ssd{number}"))));
        let (mut drives, mut mounts): (Vec<_>, _) = (ssds.collect(), Vec::new());
        for number in 1..=count {
            let disk = dir.join(format!("hdd{number}"));
            if let Some(throttle) = &slow {
                let image = dir.join(format!("image{number}"));
                let share = total_bytes * STORED_TIMES / count.max(1) as u64;
                Mount::make_ext4(&image, SPARE_BYTES + share)?;
                mounts.push(Mount::ext4(&disk, &image)?);
                throttle.slow_down(&disk, DISK)?;
            }
            // Not the root of the file system, where its lost+found is.
            drives.push(("hdd", disk.join("drive")));
        }
        Ok(Self { drives, slow, _mounts: mounts })
    }

    /// Starts a server on them, with further arguments, and waits until it serves. Its disks are as quick as they are until
    /// [`Disks::slow_down`].
    ///
    /// # Errors
    /// A server that does not come up.
    pub async fn start(&self, dir: &Path, args: &[&str]) -> Result<Started> {
        let host = free_host("127.0.0.1")?;
        let mut command = granary_on(self.drives.iter().cloned(), &host)?;
        command.args(args);
        start("granary", command, dir, host, self.drives.len()).await
    }

    /// From now on the server's disks are as slow as they are to be.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn slow_down(&self, target: &Target) -> Result<()> {
        let Some(throttle) = &self.slow else { return Ok(()) };
        target.pids.iter().try_for_each(|pid| throttle.hold(*pid))
    }
}
