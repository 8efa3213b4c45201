//! Disks that are slow: a limit of operations and bytes a second on a block device, which the kernel keeps.
//!
//! The limit is that of a control group (`blkio.throttle.*`, or `io.max` of the second version), so that it counts what really
//! goes to the device and no part of the server knows of it. What a process writes past the page cache, and what it reads
//! that the cache has not got, is counted; that is what a store does with shard files. Needs root.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{major, minor};

const FIRST: &str = "/sys/fs/cgroup/blkio";
const SECOND: &str = "/sys/fs/cgroup";

/// What a disk can do in a second, reading and writing each.
#[derive(Clone, Copy, Debug)]
pub struct DiskSpeed {
    /// Operations: a disk moves its head so often.
    pub operations: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A control group whose processes find some devices slow.
#[derive(Debug)]
pub struct Throttle {
    group: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    First,
    Second,
}

impl Throttle {
    /// A group without limits and processes.
    pub fn create() -> Result<Self> {
        let (root, version) = match Path::new(FIRST).join("blkio.throttle.read_bps_device").exists() {
            true => (FIRST, Version::First),
            false => (SECOND, Version::Second),
        };
        if version == Version::Second {
            fs::write(Path::new(SECOND).join("cgroup.subtree_control"), "+io")
                .context("the io controller")?;
        }
        let group = Path::new(root).join(format!("granary-test-{}", std::process::id()));
        fs::create_dir_all(&group)
            .with_context(|| format!("making {}: run this as root", group.display()))?;
        Ok(Self { group, version })
    }

    /// Makes the device slow that holds the file system at `mounted`.
    pub fn slow_down(&self, mounted: &Path, speed: DiskSpeed) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let device = fs::metadata(mounted).context("a mounted file system")?.dev();
        let device = format!("{}:{}", major(device), minor(device));
        let DiskSpeed { operations, bytes } = speed;
        if self.version == Version::Second {
            let limits = format!("{device} rbps={bytes} wbps={bytes} riops={operations} wiops={operations}");
            return fs::write(self.group.join("io.max"), limits).context("io.max");
        }
        for (name, limit) in
            [("read_bps", bytes), ("write_bps", bytes), ("read_iops", operations), ("write_iops", operations)]
        {
            let file = self.group.join(format!("blkio.throttle.{name}_device"));
            fs::write(file, format!("{device} {limit}")).context("a limit of a device")?;
        }
        Ok(())
    }

    /// Puts a process and all its threads under the limits.
    pub fn hold(&self, process: u32) -> Result<()> {
        fs::write(self.group.join("cgroup.procs"), process.to_string()).context("a process of a group")
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // A process that was killed may take a moment to leave.
        for _ in 0..100 {
            if fs::remove_dir(&self.group).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}
