use super::*;

#[test]
fn a_walk_cut_off_within_a_key_counts_its_versions_anew() {
    let at = Place {
        prefix: Some(String::new()),
        after: Some("key".to_owned()),
        order: Some(7),
        older_met: 3,
        replaced_ms: Some(5),
        ..Place::default()
    };
    let mut resumed = at.clone();
    resumed.resume();
    let anew = Place { order: Some(ORDER_MAX), older_met: 0, replaced_ms: None, ..at.clone() };
    assert_eq!(resumed, anew);
    let uploads = Place { stage: Stage::Uploads, ..at };
    let mut resumed = uploads.clone();
    resumed.resume();
    assert_eq!(resumed, uploads);
}

#[test]
fn a_bucket_is_walked_once_after_each_midnight_and_when_its_rules_change() {
    let at = |days: i64, ms: i64| UnixMillis(days * DAY_MS + ms);
    let done = Place { rules: "a".into(), began_ms: at(5, 1).0, stage: Stage::Done, ..Place::default() };
    assert!(!done.is_due("a", DayLength::Real, at(5, DAY_MS - 1)));
    assert!(done.is_due("a", DayLength::Real, at(6, 0)));
    assert!(done.is_due("b", DayLength::Real, at(5, 2)));
    let unfinished = Place { stage: Stage::Uploads, ..done.clone() };
    assert!(unfinished.is_due("a", DayLength::Real, at(5, 2)));
    let debug = DayLength::Debug(Duration::from_secs(10));
    assert!(!done.is_due("a", debug, at(5, 1_000)));
    assert!(done.is_due("a", debug, at(5, 1_001)));
}
