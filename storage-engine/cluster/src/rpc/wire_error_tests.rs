use super::*;

fn across(error: &DriveError) -> DriveError {
    let bytes = postcard::to_stdvec(&WireError::new(error)).unwrap();
    postcard::from_bytes::<WireError>(&bytes).unwrap().into_drive_error("node")
}

#[test]
fn what_decides_arrives_as_it_was() {
    let path = || PathBuf::from("/d/file");
    let io = |source| DriveError::Io { context: "opening", path: path(), source };
    let errors = [
        io(io::Error::from_raw_os_error(2)),
        io(io::Error::from_raw_os_error(5)),
        io(io::Error::from(io::ErrorKind::NotFound)),
        io(io::Error::other("flush failed")),
        DriveError::NoSpace { path: path() },
        DriveError::Tampered { path: path(), what: "cut short" },
        DriveError::Corrupt { path: path(), offset: 7, what: "the shard file's header" },
        DriveError::Identity { path: path(), reason: "gone".to_owned() },
        DriveError::Stalled { path: path() },
        DriveError::Peer { place: path(), reason: "away".to_owned() },
        DriveError::Records("too long"),
    ];
    for error in errors {
        let arrived = across(&error);
        assert_eq!(arrived.is_lost(), error.is_lost(), "{error} became {arrived}");
        assert_eq!(arrived.is_no_space(), error.is_no_space(), "{error} became {arrived}");
        let is_stalled = |error: &DriveError| matches!(error, DriveError::Stalled { .. });
        assert_eq!(is_stalled(&arrived), is_stalled(&error), "{error} became {arrived}");
    }
    assert_eq!(
        across(&DriveError::Tampered { path: path(), what: "cut short" }).to_string(),
        "node:/d/file was cut short"
    );
    assert!(matches!(across(&io(io::Error::from_raw_os_error(17))),
        DriveError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists));
}

#[test]
fn endless_texts_are_cut() {
    let error = DriveError::Identity { path: PathBuf::from("/d"), reason: "ä".repeat(100_000) };
    assert!(across(&error).to_string().len() < 2000);
}
