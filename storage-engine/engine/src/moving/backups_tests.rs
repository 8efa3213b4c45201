use std::cell::Cell;

use granary_drive::{BACKUPS_FOLDER, backup_files};

use super::super::shards::tests::{Drives, drives};
use super::*;

fn files(drives: &Drives) -> Vec<usize> {
    let count = |path: &PathBuf| std::fs::read_dir(path.join(BACKUPS_FOLDER)).map_or(0, Iterator::count);
    drives.paths.iter().map(count).collect()
}

fn lost() -> Result<()> {
    Err(EngineError::Unavailable { context: "the lease was lost" })
}

/// Another node has taken over meanwhile, and its files are no rest of a killed process.
#[test]
fn a_node_that_lost_its_turn_removes_nothing_of_another() {
    let drives = drives(6);
    drives.write(1);
    let theirs = drives.begin(2);
    let all = &drives.drives;
    let remove =
        |still_ours: &dyn Fn() -> Result<()>| drives.runtime.block_on(remove_before(all, 2, still_ours));
    assert!(remove(&lost).is_err());
    assert_eq!(files(&drives), [2; 6]);
    // It is looked at for each drive.
    let left = Cell::new(2);
    let for_two = || match left.get() {
        0 => lost(),
        more => {
            left.set(more - 1);
            Ok(())
        }
    };
    assert!(remove(&for_two).is_err());
    assert_eq!(files(&drives), [0, 0, 2, 2, 2, 2]);
    remove(&|| Ok(())).unwrap();
    assert_eq!(files(&drives), [0; 6]);
    drop(theirs);
}

/// All drives were asked at once, after one look each.
#[test]
fn a_turn_that_was_lost_while_a_drive_answered_was_used_for_all_others() {
    let drives = drives(6);
    drives.write(1);
    let until_the_first_answers = || if files(&drives)[0] == 0 { lost() } else { Ok(()) };
    let removed = remove_before(&drives.drives, 2, until_the_first_answers);
    assert!(drives.runtime.block_on(removed).is_err());
    assert_eq!(files(&drives), [0, 1, 1, 1, 1, 1]);
    // That of the last counts too: what comes next is the turn's as well.
    let until_the_last_answers = || if files(&drives)[5] == 0 { lost() } else { Ok(()) };
    let removed = remove_before(&drives.drives, 2, until_the_last_answers);
    assert!(drives.runtime.block_on(removed).is_err());
    assert_eq!(files(&drives), [0; 6]);
}

#[test]
fn a_backup_with_shards_cut_short_pushes_out_no_whole_one() {
    let drives = drives(6);
    [1, 2].into_iter().for_each(|created_ms| drives.write(created_ms));
    let survey = || drives.runtime.block_on(Survey::of(&drives.drives, 6, 2));
    assert_eq!((survey().readable(), survey().kept_from_ms(1)), (vec![2, 1], 2));
    for path in &drives.paths[..3] {
        let newer = |path: &PathBuf| path.to_string_lossy().contains("metadata-00000000000000000002-");
        let shard = backup_files(path).into_iter().find(newer).unwrap();
        let length = std::fs::metadata(&shard).unwrap().len();
        std::fs::File::options().write(true).open(&shard).unwrap().set_len(length - 1).unwrap();
    }
    // Compaction asks for the newest, and what is removed follows from the oldest that is kept.
    let found = survey();
    assert_eq!((found.readable(), found.newest(), found.kept_from_ms(1)), (vec![1], Some(1), 1));
    assert!(found.holds(1) && !found.holds(2));
    let removed = remove_before(&drives.drives, found.kept_from_ms(1), || Ok(()));
    drives.runtime.block_on(removed).unwrap();
    assert_eq!(files(&drives), [2; 6]);
    let listed = drives.runtime.block_on(drives.drives[0].backup_shards()).unwrap();
    assert_eq!(listed.iter().map(|name| name.created_ms).collect::<Vec<_>>(), [1]);
}
