use super::*;

fn ends() -> Ends {
    Ends { ends: [("v".to_owned(), 4096)].into() }
}

#[test]
fn what_is_remembered_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("meta")).unwrap();
    write_ends(dir.path(), &dir.path().join("meta"), &ends()).unwrap();
    assert_eq!(read_ends(dir.path()), Some(ends()));
}

#[test]
fn nothing_is_written_to_a_directory_that_was_emptied() {
    let dir = tempfile::tempdir().unwrap();
    assert!(write_ends(dir.path(), &dir.path().join("meta"), &ends()).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
