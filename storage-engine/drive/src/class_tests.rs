use std::os::unix::fs::symlink;

use super::*;

/// The kernel's folders of a disk with a partition, and of a device that does not rotate.
fn devices() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let (disk, flash) = (root.path().join("devices/sda"), root.path().join("devices/nvme0n1"));
    for (device, flag) in [(&disk, "1\n"), (&flash, "0\n")] {
        fs::create_dir_all(device.join("queue")).unwrap();
        fs::write(device.join("queue/rotational"), flag).unwrap();
    }
    fs::create_dir(disk.join("sda1")).unwrap();
    for (number, device) in [("8:0", disk.clone()), ("8:1", disk.join("sda1")), ("259:0", flash)] {
        symlink(device, root.path().join(number)).unwrap();
    }
    root
}

#[test]
fn disks_and_their_partitions_rotate_and_nothing_else_does() {
    let root = devices();
    let class = |major, minor| class_of_device(root.path(), major, minor);
    assert_eq!((class(8, 0), class(8, 1)), (DriveClass::Hdd, DriveClass::Hdd));
    assert_eq!(class(259, 0), DriveClass::Ssd);
    assert_eq!(class(0, 42), DriveClass::Ssd, "no block device");
}

#[test]
fn a_directory_that_is_to_be_made_is_where_its_parent_is() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(detect_class(&root.path().join("a/b")), detect_class(root.path()));
}
