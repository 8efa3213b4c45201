use granary_types::ClusterId;

use super::*;

struct Drives {
    _folder: tempfile::TempDir,
    paths: Vec<PathBuf>,
    ids: Vec<DriveId>,
}

/// So many drives that know each other, and directories that are empty.
fn drives(count: usize, empty: usize) -> Drives {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..count + empty).map(|n| folder.path().join(format!("d{n}"))).collect();
    let ids: Vec<DriveId> = (0..count).map(|_| DriveId::random().unwrap()).collect();
    let members: Vec<Member> =
        ids.iter().zip(0_u16..).map(|(drive, slot)| Member { drive: *drive, slot }).collect();
    for (path, number) in paths.iter().zip(0..) {
        std::fs::create_dir(path).unwrap();
        if let Some(member) = members.get(number) {
            let identity = Identity::new(ClusterId::from_bytes([1; 16]), member, &members, "1+1");
            write_identity(path, &identity).unwrap();
        }
    }
    Drives { _folder: folder, paths, ids }
}

fn identity(path: &Path) -> Identity {
    match inspect(path) {
        Found::Drive(identity) => identity,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_retired_drive_is_passed_over_whether_it_is_given_or_not() {
    let three = drives(3, 0);
    let retired = HashSet::from([three.ids[1]]);
    let kept = resize(&three.paths, &retired, Join::Never).unwrap();
    assert_eq!(kept, [three.paths[0].clone(), three.paths[2].clone()]);
    for (slot, (path, id)) in kept.iter().zip([three.ids[0], three.ids[2]]).enumerate() {
        let identity = identity(path);
        assert_eq!((identity.drive, usize::from(identity.slot), identity.generation), (id, slot, 2));
        assert_eq!(identity.members.len(), 2);
    }
    // Again, with and without it: nothing more is written.
    for given in [&three.paths, &kept] {
        assert_eq!(resize(given, &retired, Join::Never).unwrap(), kept);
        assert_eq!(identity(&kept[0]).generation, 2);
    }
}

#[test]
fn a_list_that_was_written_in_part_is_written_whole() {
    let three = drives(3, 0);
    let retired = HashSet::from([three.ids[0]]);
    let before = identity(&three.paths[1]);
    let kept = resize(&three.paths, &retired, Join::Never).unwrap();
    // The first of those that stay was not reached.
    write_identity(&kept[0], &before).unwrap();
    assert_eq!(resize(&kept, &retired, Join::Never).unwrap(), kept);
    let (one, two) = (identity(&kept[0]), identity(&kept[1]));
    assert_eq!((one.generation, one.slot, two.generation, two.slot), (2, 0, 2, 1));
}

#[test]
fn empty_directories_behind_the_others_become_drives_of_a_node_that_may_grow() {
    let three = drives(2, 1);
    let none = HashSet::new();
    assert_eq!(resize(&three.paths, &none, Join::Never).unwrap(), three.paths);
    assert!(matches!(inspect(&three.paths[2]), Found::Empty));
    assert_eq!(resize(&three.paths, &none, Join::Allowed).unwrap(), three.paths);
    let new = identity(&three.paths[2]);
    assert_eq!((new.slot, new.members.len(), new.generation), (2, 3, 2));
    assert_eq!(identity(&three.paths[0]).members, new.members);
}

#[test]
fn swapped_and_missing_directories_are_left_to_whoever_opens_them() {
    let three = drives(3, 0);
    let retired = HashSet::from([three.ids[1]]);
    let swapped = [three.paths[2].clone(), three.paths[0].clone()];
    resize(&swapped, &retired, Join::Allowed).unwrap();
    assert_eq!(identity(&three.paths[0]).generation, 1);
    resize(&three.paths[..1], &HashSet::new(), Join::Allowed).unwrap();
    assert_eq!(identity(&three.paths[0]).generation, 1);
    // A node that was removed with all its drives.
    let all = three.ids.iter().copied().collect();
    assert_eq!(resize(&three.paths, &all, Join::Allowed).unwrap(), three.paths);
}
