use super::*;

fn identity() -> Identity {
    let member = Member { drive: DriveId::from_bytes([7; 16]), slot: 0 };
    Identity::new(ClusterId::from_bytes([1; 16]), &member, std::slice::from_ref(&member), "1+0")
}

#[test]
fn a_directory_is_told_for_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(inspect(&dir.path().join("no")), Found::Missing));
    assert!(matches!(inspect(dir.path()), Found::Empty));
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    assert!(matches!(inspect(dir.path()), Found::Empty));
    fs::write(dir.path().join("thesis.tex"), "precious").unwrap();
    assert!(matches!(inspect(dir.path()), Found::Foreign));
    write_identity(dir.path(), &identity()).unwrap();
    assert!(matches!(inspect(dir.path()), Found::Drive(found) if found == identity()));
}

#[test]
fn a_flipped_bit_in_the_identity_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    write_identity(dir.path(), &identity()).unwrap();
    let path = dir.path().join(IDENTITY_FILE);
    let text = fs::read_to_string(&path).unwrap().replace("\"slot\": 0", "\"slot\": 1");
    fs::write(&path, text).unwrap();
    assert!(matches!(inspect(dir.path()), Found::Unreadable(DriveError::Identity { .. })));
}

#[test]
fn two_processes_cannot_use_one_drive() {
    let dir = tempfile::tempdir().unwrap();
    let held = lock(dir.path()).unwrap();
    assert!(lock(dir.path()).is_err());
    drop(held);
    assert!(lock(dir.path()).is_ok());
}
