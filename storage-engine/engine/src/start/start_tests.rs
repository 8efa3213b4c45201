use std::collections::BTreeMap;

use granary_drive::{IDENTITY_FILE, write_identity};

use super::*;

/// Directories for drives, none of them made yet.
struct Folders {
    folder: tempfile::TempDir,
    paths: Vec<PathBuf>,
}

fn folders(count: usize) -> Folders {
    let folder = tempfile::tempdir().unwrap();
    let paths = (0..count).map(|number| folder.path().join(format!("d{number}"))).collect();
    Folders { folder, paths }
}

/// A store that was made whole and let go again.
fn store(count: usize) -> Folders {
    let folders = folders(count);
    let opened = open(&folders.paths).unwrap();
    assert!(opened.fresh && opened.unused.is_empty());
    settle_identities(&opened.drives).unwrap();
    folders
}

fn open(paths: &[PathBuf]) -> Result<Opened> {
    open_drives(&EngineOptions::new(paths.to_vec()))
}

fn open_as(paths: &[PathBuf], erasure: &str) -> Result<Opened> {
    let erasure = Some(erasure.parse().unwrap());
    open_drives(&EngineOptions { erasure, ..EngineOptions::new(paths.to_vec()) })
}

/// What a refusal says.
fn refusal(opened: Result<Opened>) -> String {
    match opened {
        Err(EngineError::Layout(message)) => message,
        Err(other) => panic!("refused with {other:?}"),
        Ok(_) => panic!("the directories were taken"),
    }
}

fn identity(path: &Path) -> Identity {
    match inspect(path) {
        Found::Drive(identity) => identity,
        other => panic!("{} is {other:?}", path.display()),
    }
}

fn generations(paths: &[PathBuf]) -> Vec<u64> {
    paths.iter().map(|path| identity(path).generation).collect()
}

/// Every file of the directories.
fn files(paths: &[PathBuf]) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = paths.to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    found
}

fn empty(path: &Path) {
    std::fs::remove_dir_all(path).unwrap();
    std::fs::create_dir(path).unwrap();
}

#[test]
fn a_new_store_is_made_of_empty_directories_and_opened_again() {
    let folders = store(6);
    assert_eq!(generations(&folders.paths), [1; 6]);
    let opened = open(&folders.paths).unwrap();
    assert!(!opened.fresh);
    let slots: Vec<u16> = opened.drives.iter().map(|drive| drive.slot()).collect();
    assert_eq!(slots, [0, 1, 2, 3, 4, 5]);
    let ids: Vec<DriveId> = opened.drives.iter().map(|drive| drive.id()).collect();
    assert_eq!(ids, opened.members);
    assert_eq!(opened.profile.to_string(), "4+2");
}

#[test]
fn no_store_is_made_where_others_have_files() {
    let folders = folders(3);
    std::fs::create_dir(&folders.paths[2]).unwrap();
    std::fs::write(folders.paths[2].join("thesis.tex"), "precious").unwrap();
    assert!(refusal(open(&folders.paths)).contains("not Granary's"));
    assert!(!folders.paths[0].exists() && !folders.paths[1].exists());
    assert_eq!(files(&folders.paths).len(), 1);
}

#[test]
fn swapped_drives_are_refused() {
    let folders = store(3);
    let before = files(&folders.paths);
    let swapped = [1, 0, 2].map(|number| folders.paths[number].clone());
    let message = refusal(open(&swapped));
    assert!(message.contains("swapped") && message.contains("drive number 2 and is given in place 1"));
    assert_eq!(files(&folders.paths), before);
}

#[test]
fn a_drive_of_another_store_is_refused() {
    let (ours, theirs) = (store(3), store(3));
    // Also one of a store that replaced drives, whose generation is higher than ours.
    let first = identity(&theirs.paths[0]);
    for generation in [1, 7] {
        write_identity(&theirs.paths[0], &Identity { generation, ..first.clone() }).unwrap();
        for slot in 0..3 {
            let mut paths = ours.paths.clone();
            paths[slot].clone_from(&theirs.paths[0]);
            let before = files(&paths);
            let message = refusal(open(&paths));
            assert!(message.contains("another store"), "{message}");
            // Whatever it says of itself, the odd one is named.
            let message = check_one_store(&paths).unwrap_err().to_string();
            let odd = format!("{} is a drive of another store", paths[slot].display());
            assert!(message.contains(&odd), "{message}");
            assert_eq!(files(&paths), before);
        }
    }
    check_one_store(&ours.paths).unwrap();
    check_one_store(&folders(2).paths).unwrap();
}

#[test]
fn a_wrong_number_of_directories_is_refused() {
    let folders = store(3);
    let before = files(&folders.paths);
    assert!(refusal(open(&folders.paths[..2])).contains("has 3 drives and 2 --data directories"));
    let more = folders.folder.path().join("d3");
    let message = refusal(open(&[folders.paths.clone(), vec![more.clone()]].concat()));
    assert!(message.contains("has 3 drives and 4 --data directories"));
    assert!(!more.exists());
    assert_eq!(files(&folders.paths), before);
    assert!(refusal(open(&[])).contains("at least one"));
}

#[test]
fn the_same_directory_twice_is_refused_under_any_name() {
    let folders = folders(2);
    std::fs::create_dir(&folders.paths[0]).unwrap();
    let link = folders.folder.path().join("link");
    std::os::unix::fs::symlink(&folders.paths[0], &link).unwrap();
    let dotted = folders.paths[0].join(".");
    for again in [folders.paths[0].clone(), link, dotted] {
        let message = refusal(open(&[folders.paths[0].clone(), again]));
        assert!(message.contains("given twice"), "{message}");
    }
    assert!(matches!(inspect(&folders.paths[0]), Found::Empty));
}

#[test]
fn as_many_drives_may_be_away_as_the_code_can_lose() {
    let folders = store(6);
    let away = |number: usize| std::fs::rename(&folders.paths[number], folders.folder.path().join("away"));
    away(0).unwrap();
    std::fs::remove_dir_all(&folders.paths[3]).unwrap();
    let opened = open(&folders.paths).unwrap();
    assert_eq!((opened.drives.len(), opened.unused.len(), opened.fresh), (4, 2, false));
    assert!(opened.unused.iter().all(|unused| unused.problem == DriveProblem::Missing));
    drop(opened);
    std::fs::remove_dir_all(&folders.paths[5]).unwrap();
    let message = refusal(open(&folders.paths));
    assert!(message.contains("only 3 of 6 drives can be used and 4 are needed"), "{message}");
    assert!(folders.paths.iter().filter(|path| path.exists()).count() == 3, "nothing was made");
    // With one of them back it goes on.
    std::fs::rename(folders.folder.path().join("away"), &folders.paths[0]).unwrap();
    assert_eq!(open(&folders.paths).unwrap().drives.len(), 4);
}

#[test]
fn a_directory_that_is_no_drive_is_left_unused_and_untouched() {
    type Harm = fn(&Path);
    let harms: [(DriveProblem, Harm); 4] = [
        (DriveProblem::Empty, empty),
        (DriveProblem::Missing, |path| std::fs::remove_dir_all(path).unwrap()),
        (DriveProblem::Foreign, |path| std::fs::remove_file(path.join(IDENTITY_FILE)).unwrap()),
        (DriveProblem::Unreadable, |path| {
            let file = path.join(IDENTITY_FILE);
            let half = std::fs::metadata(&file).unwrap().len() / 2;
            std::fs::File::options().write(true).open(file).unwrap().set_len(half).unwrap();
        }),
    ];
    for (problem, harm) in harms {
        let folders = store(4);
        let lost = identity(&folders.paths[2]).drive;
        harm(&folders.paths[2]);
        let before = files(&folders.paths[2..3]);
        let opened = open(&folders.paths).unwrap();
        assert_eq!(opened.drives.len(), 3);
        let [unused] = opened.unused.as_slice() else { panic!("{:?}", opened.unused) };
        assert_eq!((unused.slot, unused.problem, unused.expected), (2, problem, Some(lost)));
        assert_eq!(problem == DriveProblem::Empty, unused.message.contains("granary heal"));
        assert_eq!(files(&folders.paths[2..3]), before, "{problem:?}");
        assert_eq!(folders.paths[2].exists(), problem != DriveProblem::Missing);
    }
}

#[test]
fn a_replaced_drive_that_comes_back_is_refused() {
    let folders = store(4);
    let aside = folders.folder.path().join("aside");
    std::fs::rename(&folders.paths[1], &aside).unwrap();
    let new = next_identity(&identity(&folders.paths[0]), 1, DriveId::from_bytes([9; 16]));
    // As after a crash: the new drive is told of itself, the others are not yet.
    write_identity(&folders.paths[1], &new).unwrap();
    let opened = open(&folders.paths).unwrap();
    assert_eq!((opened.drives.len(), opened.members[1]), (4, new.drive));
    settle_identities(&opened.drives).unwrap();
    drop(opened);
    assert_eq!(generations(&folders.paths), [2; 4], "all are told at the next start");
    let third = identity(&folders.paths[2]);
    assert_eq!((third.slot, &third.members), (2, &new.members));

    std::fs::rename(&folders.paths[1], folders.folder.path().join("new")).unwrap();
    std::fs::rename(&aside, &folders.paths[1]).unwrap();
    let before = files(&folders.paths);
    assert!(refusal(open(&folders.paths)).contains("replaced by another"));
    assert_eq!(files(&folders.paths), before);
}

#[test]
fn the_code_of_new_volumes_may_change_and_the_first_one_is_remembered() {
    let folders = folders(4);
    assert!(refusal(open_as(&folders.paths, "4+2")).contains("needs 6 drives and 4 are given"));
    assert!(folders.paths.iter().all(|path| !path.exists()), "nothing is made for a code that does not fit");
    let opened = open_as(&folders.paths, "3+1").unwrap();
    assert_eq!(opened.profile.to_string(), "3+1");
    settle_identities(&opened.drives).unwrap();
    drop(opened);
    assert_eq!(open(&folders.paths).unwrap().profile.to_string(), "3+1");
    assert_eq!(open_as(&folders.paths, "2+2").unwrap().profile.to_string(), "2+2");
    assert!(refusal(open_as(&folders.paths, "3+2")).contains("needs 5 drives"));
    assert_eq!(open(&folders.paths).unwrap().profile.to_string(), "3+1");
    // What is there was written as 3+1: more drives than that may not be away, whatever the code is now.
    std::fs::remove_dir_all(&folders.paths[0]).unwrap();
    std::fs::remove_dir_all(&folders.paths[1]).unwrap();
    assert!(refusal(open_as(&folders.paths, "1+2")).contains("3 are needed"));
}

/// Directories as a process leaves them that dies after so many identities of a new store.
fn begun(count: usize, written: usize) -> Folders {
    let folders = folders(count);
    format::format(&folders.paths, "2+2".parse().unwrap(), None).unwrap();
    for path in &folders.paths[written..] {
        std::fs::remove_dir_all(path).unwrap();
    }
    folders
}

#[test]
fn a_first_start_that_dies_between_the_drives_is_gone_on_with() {
    for written in 1..=4 {
        let folders = begun(4, written);
        let first = identity(&folders.paths[0]);
        assert_eq!(first.generation, 0);
        let opened = open(&folders.paths).unwrap();
        assert!(opened.fresh && opened.unused.is_empty(), "after {written}");
        let ids: Vec<DriveId> = first.members.iter().map(|member| member.drive).collect();
        assert_eq!((opened.cluster, &opened.members), (first.cluster, &ids));
        settle_identities(&opened.drives).unwrap();
        drop(opened);
        assert_eq!(generations(&folders.paths), [1; 4]);
        assert!(!open(&folders.paths).unwrap().fresh);
    }
}

#[test]
fn a_store_that_some_drives_know_to_be_made_is_not_made_again() {
    for told in 1..4 {
        let folders = begun(4, 4);
        for path in &folders.paths[..told] {
            write_identity(path, &Identity { generation: 1, ..identity(path) }).unwrap();
        }
        let opened = open(&folders.paths).unwrap();
        assert!(!opened.fresh, "its metadata must be found");
        settle_identities(&opened.drives).unwrap();
        assert_eq!(generations(&folders.paths), [1; 4]);
    }
}

#[test]
fn nothing_is_written_to_directories_that_do_not_go_on_with_what_was_begun() {
    let folders = begun(4, 1);
    let extra = folders.folder.path().join("d4");
    let swapped = [1, 0, 2, 3].map(|number| folders.paths[number].clone()).to_vec();
    let wrong = [
        ("swapped", swapped),
        ("--data directories", folders.paths[..3].to_vec()),
        ("--data directories", [folders.paths.clone(), vec![extra.clone()]].concat()),
    ];
    for (says, paths) in wrong {
        let message = refusal(open(&paths));
        assert!(message.contains(says), "{message}");
        let made = folders.paths[1..].iter().chain([&extra]).filter(|path| path.exists());
        assert_eq!(made.count(), 0, "{message}");
    }
    assert!(open(&folders.paths).unwrap().fresh);
}

#[test]
fn work_on_the_whole_metadata_wants_every_drive() {
    let folders = store(3);
    assert_eq!(open_all_drives(&folders.paths).unwrap().drives.len(), 3);
    empty(&folders.paths[1]);
    assert!(refusal(open_all_drives(&folders.paths)).contains("heal the store first"));
    assert!(matches!(inspect(&folders.paths[1]), Found::Empty));
    assert!(refusal(open_all_drives(&begun(4, 4).paths)).contains("no store"));
}
