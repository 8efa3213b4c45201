use std::os::unix::fs::PermissionsExt;

use granary_engine::MANAGED_KEY;

use super::*;

fn drives(dir: &Path, count: usize) -> Vec<PathBuf> {
    let drives: Vec<PathBuf> = (0..count).map(|n| dir.join(format!("d{n}"))).collect();
    for drive in &drives {
        std::fs::create_dir(drive).unwrap();
        std::fs::write(drive.join(IDENTITY_FILE), "{}").unwrap();
    }
    drives
}

#[test]
fn a_ring_is_made_once_and_kept_on_every_drive() {
    let dir = tempfile::tempdir().unwrap();
    let place = KeyRingPlace::Drives(drives(dir.path(), 3));
    let made = place.load().unwrap();
    assert!(place.read().unwrap().is_none(), "nothing is written before the drives are open");
    made.keep(&place).unwrap();
    for file in place.files() {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_file(&file).unwrap().unwrap().rows(), made.keys.rows());
    }
    assert_eq!(place.load().unwrap().keys.rows(), made.keys.rows());
}

#[test]
fn a_damaged_copy_is_made_whole_and_one_that_is_alone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let place = KeyRingPlace::Drives(drives(dir.path(), 3));
    place.load().unwrap().keep(&place).unwrap();
    let sound = std::fs::read(&place.files()[0]).unwrap();
    for half in [0, sound.len() / 2] {
        secret_file::write(&place.files()[0], &sound[..half]).unwrap();
        let loaded = place.load().unwrap();
        loaded.keep(&place).unwrap();
        assert_eq!(std::fs::read(&place.files()[0]).unwrap(), sound);
    }
    secret_file::write(&place.files()[0], b"{").unwrap();
    for file in &place.files()[1..] {
        std::fs::remove_file(file).unwrap();
    }
    // Not made anew: what was encrypted could never be read again.
    assert!(place.load().is_err());
}

#[test]
fn a_lost_or_older_copy_is_made_whole() {
    let dir = tempfile::tempdir().unwrap();
    let place = KeyRingPlace::Drives(drives(dir.path(), 3));
    let mut ring = place.load().unwrap();
    ring.keep(&place).unwrap();
    let old = std::fs::read(&place.files()[1]).unwrap();
    let mut keys = ring.keys.clone();
    keys.rotate(&MANAGED_KEY.parse().unwrap(), UnixMillis(5)).unwrap();
    place.write(&keys, Complaints::Logged).unwrap();
    secret_file::write(&place.files()[1], &old).unwrap();
    std::fs::remove_file(&place.files()[2]).unwrap();
    ring.take(&place, place.read().unwrap().unwrap());
    assert_eq!(ring.keys.rows(), keys.rows());
    for file in place.files() {
        assert_eq!(read_file(&file).unwrap().unwrap().rows(), keys.rows());
    }
    // A new drive in another's place.
    std::fs::remove_file(&place.files()[0]).unwrap();
    ring.take(&place, place.read().unwrap().unwrap());
    assert_eq!(read_file(&place.files()[0]).unwrap().unwrap().rows(), keys.rows());
}

#[test]
fn another_ring_is_not_taken_for_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let place = KeyRingPlace::Drives(drives(dir.path(), 1));
    let mut ring = place.load().unwrap();
    let before = ring.keys.rows();
    ring.take(&place, Keys::generate(UnixMillis(1)).unwrap());
    assert_eq!(ring.keys.rows(), before);
}

#[test]
fn a_directory_that_is_no_drive_gets_no_ring() {
    let dir = tempfile::tempdir().unwrap();
    let place = KeyRingPlace::Drives(vec![dir.path().to_owned()]);
    assert!(place.load().unwrap().keep(&place).is_err());
    assert!(!dir.path().join(FILE_NAME).exists());
}

#[test]
fn a_file_that_is_named_must_be_there_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keyring");
    let place = KeyRingPlace::File(file.clone());
    assert!(place.load().unwrap_err().to_string().contains("granary keyring create"));
    place.write(&Keys::generate(UnixMillis(1)).unwrap(), Complaints::Logged).unwrap();
    assert!(place.load().is_ok());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = place.load().unwrap_err();
    assert!(error.to_string().contains("open to other users"), "{error:#}");
}
