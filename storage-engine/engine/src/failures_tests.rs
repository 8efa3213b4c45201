use super::*;
use crate::EngineError;

#[test]
fn the_last_reason_stands_beside_how_many_there_were() {
    let mut failures = Failures::default();
    failures.add("a".to_owned());
    failures.merge(Failures { count: 2, last: Some("b".to_owned()) });
    failures.merge(Failures::default());
    assert_eq!(failures, Failures { count: 3, last: Some("b".to_owned()) });
}

#[test]
fn a_reason_tells_its_causes_and_is_not_long() {
    let key = |length| ObjectKey::new("k".repeat(length)).unwrap();
    let source = std::io::Error::other("the disk is away");
    let error = EngineError::Io { context: "copying", source };
    assert_eq!(reason(&key(1), &error), "k: i/o error while copying: the disk is away");
    assert_eq!(reason(&key(1_000), &error).len(), REASON_BYTES_MAX);
    let clearing = ObjectKey::new("a\u{1b}[2J").unwrap();
    assert!(reason(&clearing, &error).starts_with("a\\u{1b}[2J: "));
}
