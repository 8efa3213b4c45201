//! What kind of storage is under a directory, as the kernel tells it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use granary_types::DriveClass;
use rustix::fs::{major, minor};

/// Where the kernel shows its block devices by number.
const DEVICES: &str = "/sys/dev/block";

/// The class of the device that holds `directory`, or the directory above it that exists. Whatever the kernel does not
/// call rotational is an SSD: also what has no block device of its own (tmpfs, overlays, network file systems).
#[must_use]
pub fn detect_class(directory: &Path) -> DriveClass {
    let existing = directory.ancestors().find_map(|path| fs::metadata(path).ok());
    let Some(metadata) = existing else { return DriveClass::Ssd };
    let device = metadata.dev();
    class_of_device(Path::new(DEVICES), major(device), minor(device))
}

fn class_of_device(devices: &Path, major: u32, minor: u32) -> DriveClass {
    // The entry links to the device; a partition has no queue of its own and lies in the folder of its disk.
    let Ok(device) = fs::canonicalize(devices.join(format!("{major}:{minor}"))) else {
        return DriveClass::Ssd;
    };
    let folders = [Some(device.as_path()), device.parent()].into_iter().flatten();
    let flag = folders.map(|folder| folder.join("queue/rotational")).find_map(|path| fs::read(path).ok());
    match flag.as_deref().map(<[u8]>::trim_ascii) {
        Some(b"1") => DriveClass::Hdd,
        _ => DriveClass::Ssd,
    }
}

#[cfg(test)]
#[path = "class_tests.rs"]
mod tests;
