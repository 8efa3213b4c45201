//! File systems of a test's own: tmpfs, and ext4 on a loop device that can lose power. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// ext4's ioctl that stops the file system at once, and its flag to drop the journal's tail too:
/// what was not flushed is gone, as when the power fails. (`EXT4_IOC_SHUTDOWN`, `NOLOGFLUSH`.)
const SHUTDOWN_SCRIPT: &str = "import fcntl, os, struct, sys
directory = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(directory, 0x8004587d, struct.pack('I', 2))";

/// On however loaded a machine.
const UNMOUNTED_WITHIN: Duration = Duration::from_mins(1);

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Memory of `size_bytes`, mounted at `path`, which is created.
    pub fn tmpfs(path: &Path, size_bytes: u64) -> Result<Self> {
        let options = format!("size={size_bytes}");
        Self::attach(path, &["-t", "tmpfs", "-o", &options, "granary-test"])
    }

    /// An ext4 image of `size_bytes` at `image`, made anew.
    pub fn make_ext4(image: &Path, size_bytes: u64) -> Result<()> {
        let file = std::fs::File::create(image).context("ext4 image")?;
        file.set_len(size_bytes).context("ext4 image")?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image))
    }

    /// An ext4 image through a loop device, mounted at `path`, which is created.
    pub fn ext4(path: &Path, image: &Path) -> Result<Self> {
        let image = image.to_str().context("a plain path")?;
        Self::attach(path, &["-t", "ext4", "-o", "loop", image])
    }

    fn attach(path: &Path, args: &[&str]) -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "this test mounts file systems: run it as root");
        std::fs::create_dir_all(path).context("mount point")?;
        run(Command::new("mount").args(args).arg(path))?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Cuts the power: from now on nothing reaches the device, and what had not is lost.
    pub fn cut_power(&self) -> Result<()> {
        run(Command::new("python3").args(["-c", SHUTDOWN_SCRIPT]).arg(&self.path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A killed server may hold files open for a moment longer.
        let begun = Instant::now();
        while let Err(refusal) = run(Command::new("umount").arg(&self.path)) {
            if begun.elapsed() > UNMOUNTED_WITHIN {
                let told = format!("{} stays mounted: {refusal:#}\n", self.path.display());
                let _ = std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes());
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {} {complaint}", output.status);
    Ok(())
}
