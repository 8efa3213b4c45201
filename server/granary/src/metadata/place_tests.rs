use std::path::PathBuf;

use granary_engine::moving::MetadataPlace;

use super::parse;

fn drives(text: &str) -> Vec<PathBuf> {
    match parse(text).unwrap().place {
        MetadataPlace::Embedded(drives) => drives,
        MetadataPlace::Postgres(_) => unreachable!("{text} is on drives"),
    }
}

#[test]
fn drives_are_directories_ranges_lists_or_the_database_in_one() {
    assert_eq!(drives("sqlite:/mnt/d{1...2}"), [PathBuf::from("/mnt/d1"), PathBuf::from("/mnt/d2")]);
    assert_eq!(drives("sqlite:a,b"), [PathBuf::from("a"), PathBuf::from("b")]);
    assert_eq!(drives("sqlite:./data/meta/granary.sqlite"), [PathBuf::from("./data")]);
}

#[test]
fn the_password_of_a_database_is_shown_nowhere() {
    let place = parse("postgres://u:s3cret@h:5432/granary").unwrap();
    assert_eq!(place.shown, "postgres://h:5432/granary");
    assert!(!format!("{:?}", place.place).contains("s3cret"));
    for wrong in ["postgres://u:s3cret@h:port/granary", "mysql://u:s3cret@h/granary", "sqlite:"] {
        let error = parse(wrong).err().unwrap();
        assert!(!format!("{error:#}").contains("s3cret"), "{error:#}");
    }
}
