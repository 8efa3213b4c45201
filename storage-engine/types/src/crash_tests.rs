use super::*;

#[test]
fn names_are_unique_and_tell_their_crate() {
    let mut names = CRASH_POINTS.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CRASH_POINTS.len());
    assert!(CRASH_POINTS.iter().all(|name| name.split_once('.').is_some()));
}

#[test]
fn points_that_are_not_armed_are_passed() {
    for name in CRASH_POINTS {
        crash_point(name);
    }
}
