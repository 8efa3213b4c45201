use std::os::unix::fs::PermissionsExt;

use super::*;

fn no_environment(_: &str) -> Option<String> {
    None
}

fn environment(
    access: Option<&'static str>,
    secret: Option<&'static str>,
) -> impl Fn(&str) -> Option<String> {
    move |name| {
        let value = if name == ACCESS_KEY_VARIABLE { access } else { secret };
        value.map(str::to_owned)
    }
}

fn drive() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(IDENTITY_FILE), "{}").unwrap();
    dir
}

#[test]
fn the_environment_needs_both_halves_and_strong_ones() {
    for (access, secret) in [
        (Some("root"), None),
        (None, Some("long enough")),
        (Some("root"), Some("short")),
        (Some("ab"), Some("long enough")),
        (Some("a b c"), Some("long enough")),
        (Some(""), Some("")),
    ] {
        assert!(RootCredentials::find(environment(access, secret), &[]).is_err(), "{access:?} {secret:?}");
    }
    let found = RootCredentials::find(environment(Some("root"), Some("long enough")), &[]).unwrap();
    assert!(matches!(found, RootCredentials::Environment(_)));
}

#[test]
fn generated_credentials_are_kept_on_every_drive_and_found_on_any() {
    let dirs = [drive(), drive()];
    let drives: Vec<PathBuf> = dirs.iter().map(|d| d.path().to_owned()).collect();
    let made = RootCredentials::find(no_environment, &drives).unwrap();
    assert!(matches!(made, RootCredentials::Generated(_)));
    assert_eq!((made.get().access_key.len(), made.get().secret_key.expose().len()), (20, 40));
    made.keep(&drives).unwrap();
    for drive in &drives {
        let mode = std::fs::metadata(drive.join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::remove_file(drives[0].join(FILE_NAME)).unwrap();
    let found = RootCredentials::find(no_environment, &drives).unwrap();
    assert!(matches!(found, RootCredentials::Kept(_)));
    assert_eq!(found.get(), made.get());
    found.keep(&drives).unwrap();
    assert!(drives[0].join(FILE_NAME).exists());
}

#[test]
fn two_generations_differ() {
    assert_ne!(generate().unwrap(), generate().unwrap());
}

#[test]
fn drives_that_disagree_are_refused() {
    let dirs = [drive(), drive()];
    let drives: Vec<PathBuf> = dirs.iter().map(|d| d.path().to_owned()).collect();
    for drive in &drives {
        RootCredentials::Generated(generate().unwrap()).keep(std::slice::from_ref(drive)).unwrap();
    }
    assert!(RootCredentials::find(no_environment, &drives).unwrap_err().to_string().contains("differ"));
}

#[test]
fn a_rotten_copy_is_outvoted_and_written_anew() {
    let dirs = [drive(), drive(), drive()];
    let drives: Vec<PathBuf> = dirs.iter().map(|d| d.path().to_owned()).collect();
    let made = RootCredentials::Generated(generate().unwrap());
    made.keep(&drives).unwrap();
    let path = drives[1].join(FILE_NAME);
    let sound = std::fs::read(&path).unwrap();
    let mut flipped = sound.clone();
    let last = flipped.len() - 4;
    flipped[last] ^= 1;
    for rotten in [b"{".to_vec(), Vec::new(), sound[..sound.len() / 2].to_vec(), flipped] {
        std::fs::write(&path, rotten).unwrap();
        let found = RootCredentials::find(no_environment, &drives).unwrap();
        assert_eq!(found.get(), made.get());
        found.keep(&drives).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), sound);
    }
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let dir = drive();
    let drives = [dir.path().to_owned()];
    RootCredentials::Generated(generate().unwrap()).keep(&drives).unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = RootCredentials::find(no_environment, &drives).unwrap_err();
    assert!(error.to_string().contains("600"), "{error}");
}

#[test]
fn a_damaged_file_is_reported_without_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, "{\"secret_key\":\"very-secret\"").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let error = RootCredentials::find(no_environment, &[dir.path().to_owned()]).unwrap_err();
    assert!(!format!("{error:?}").contains("very-secret"));
}

#[test]
fn missing_drives_are_passed_over() {
    let found = RootCredentials::find(no_environment, &["/no/such/drive".into()]).unwrap();
    assert!(found.keep(&["/no/such/drive".into()]).is_err());
}

#[test]
fn nothing_is_written_to_a_directory_that_is_no_drive() {
    let empty = tempfile::tempdir().unwrap();
    let used = drive();
    let drives = [empty.path().to_owned(), used.path().to_owned()];
    RootCredentials::Generated(generate().unwrap()).keep(&drives).unwrap();
    assert!(!empty.path().join(FILE_NAME).exists() && used.path().join(FILE_NAME).exists());
}
