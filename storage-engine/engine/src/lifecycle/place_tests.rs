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

/// Delete markers wait for a walk of moves that began when they were due, and followed the same rules to the end.
#[test]
fn moves_were_tried_by_a_whole_walk_of_the_same_rules() {
    let own = Place { rules: "a".into(), ..Place::default() };
    let mut moves = Place { rules: "a".into(), began_ms: 50, ..Place::default() };
    assert!(!moves.has_ended_since(UnixMillis(1), &own), "it is under way");
    moves.begin(Stage::Done);
    moves.end(UnixMillis(60));
    assert!(moves.has_ended_since(UnixMillis(50), &own));
    assert!(!moves.has_ended_since(UnixMillis(51), &own));
    assert!(!moves.has_ended_since(UnixMillis(1), &Place { rules: "b".into(), ..own.clone() }));
    assert!(!Place::none().has_ended_since(UnixMillis(1), &own));
    let of_older_release = Place { ended_ms: None, ..moves };
    assert!(of_older_release.has_ended_since(UnixMillis(50), &own));
}

#[test]
fn an_expiry_waited_for_ever_where_the_next_moves_began_first_or_were_tried_again() {
    let midnight = |day: i64| UnixMillis(day * DAY_MS);
    let own = Place { rules: "a".into(), ..Place::default() };
    let failed = left_behind("b", "d", midnight(5));
    assert!(failed.has_ended_since(midnight(5), &own), "whatever became of them");
    let due = UnixMillis(midnight(5).0 + 300_000);
    let retry = failed.clone().next_walk("a".into(), DayLength::Real, due);
    assert_eq!(retry.stage, Stage::Versions);
    assert!(retry.has_ended_since(midnight(5), &own), "a retry is under way");
    let next = failed.clone().next_walk("a".into(), DayLength::Real, midnight(6));
    assert!(next.has_ended_since(midnight(5), &own), "the next walk is under way");
    assert!(!next.has_ended_since(midnight(6), &own));
    let changed = failed.next_walk("b".into(), DayLength::Real, midnight(6));
    let own = Place { rules: "b".into(), ..own };
    assert!(!changed.has_ended_since(midnight(5), &own), "that followed other rules");
}

#[test]
fn an_expiry_that_waited_for_moves_is_looked_at_when_they_end_and_not_the_next_day() {
    let now = UnixMillis(5 * DAY_MS);
    let mut moves = Place { rules: "a".into(), began_ms: now.0, ..Place::default() };
    let mut place = Place { rules: "a".into(), began_ms: now.0, ..at_key("c") };
    place.note_waiting(&at_key("b"), UnixMillis(now.0 - 7));
    place.after = Some("d".to_owned());
    place.note_waiting(&at_key("c"), now);
    assert!(!place.has_waited(&moves), "it is under way itself");
    place.begin(Stage::Done);
    place.end(now);
    let soon = UnixMillis(now.0 + 3_600_000);
    assert!(!place.is_due("a", DayLength::Real, soon), "by time alone it is not");
    assert!(!place.has_waited(&moves));
    moves.begin(Stage::Done);
    moves.end(soon);
    assert!(place.has_waited(&moves));
    let mut retry = place.next_walk("a".into(), DayLength::Real, soon);
    assert!(retry.is_retry());
    assert_eq!((retry.stage, retry.after.as_deref()), (Stage::Versions, Some("b")));
    retry.after = Some("e".to_owned());
    assert!(retry.is_behind_retry());
    retry.begin(Stage::Done);
    retry.end(soon);
    assert!(!retry.has_waited(&moves) && !retry.is_due("a", DayLength::Real, soon));
}

fn at_key(key: &str) -> Place {
    Place { prefix: Some(String::new()), after: Some(key.to_owned()), ..Place::default() }
}

/// A walk of today that is done and has left something behind between these keys.
fn left_behind(from: &str, to: &str, now: UnixMillis) -> Place {
    let mut place = Place { rules: "a".into(), began_ms: now.0, ..at_key(to) };
    place.note_left(&at_key(from));
    place.begin(Stage::Done);
    place.end(now);
    place
}

#[test]
fn what_could_not_be_moved_is_tried_again_the_same_day_and_later_each_time() {
    let mut now = UnixMillis(5 * DAY_MS);
    let mut place = left_behind("b", "d", now);
    for minutes in [5, 10, 20, 40, 60, 60] {
        let due = UnixMillis(now.0 + minutes * 60_000);
        assert!(!place.is_due("a", DayLength::Real, UnixMillis(due.0 - 1)), "{minutes}");
        assert!(place.is_due("a", DayLength::Real, due), "{minutes}");
        let mut walk = place.next_walk("a".into(), DayLength::Real, due);
        assert_eq!(
            (walk.stage, walk.after.as_deref(), walk.order),
            (Stage::Versions, Some("b"), Some(ORDER_MAX))
        );
        assert_eq!(walk.began_ms, 5 * DAY_MS, "it is no walk of all keys");
        // The one of "d" is left again.
        (walk.after, walk.order) = (Some("c".to_owned()), Some(1));
        assert!(!walk.is_behind_retry());
        let before = walk.clone();
        walk.after = Some("d".to_owned());
        walk.note_left(&before);
        assert!(!walk.is_behind_retry(), "the key may have more versions");
        walk.after = Some("e".to_owned());
        assert!(walk.is_behind_retry());
        walk.begin(Stage::Done);
        walk.end(due);
        assert_eq!(walk.left.as_ref().unwrap().from.after.as_deref(), Some("c"));
        place = Place { left: Some(Left { from: at_key("b").spot(), to: at_key("d").spot() }), ..walk };
        now = due;
    }
}

#[test]
fn a_retry_that_moves_everything_is_the_last_and_midnight_begins_anew() {
    let now = UnixMillis(5 * DAY_MS);
    let place = left_behind("b", "d", now);
    let midnight = UnixMillis(6 * DAY_MS);
    let anew = place.clone().next_walk("a".into(), DayLength::Real, midnight);
    let ended_ms = Some(now.0);
    assert_eq!(anew, Place { rules: "a".into(), began_ms: midnight.0, ended_ms, ..Place::default() });
    let due = UnixMillis(now.0 + 300_000);
    let changed = place.clone().next_walk("b".into(), DayLength::Real, due);
    assert_eq!(changed, Place { rules: "b".into(), began_ms: due.0, ..Place::default() });
    let mut retry = place.next_walk("a".into(), DayLength::Real, due);
    retry.begin(Stage::Done);
    retry.end(due);
    assert!(!retry.is_due("a", DayLength::Real, UnixMillis(6 * DAY_MS - 1)));
    assert_eq!(retry.retries, 0);
}

#[test]
fn a_place_of_an_older_release_is_understood() {
    let stored = r#"{"rules":"a","began_ms":7,"stage":"Versions","prefix":"p","after":"k","order":3,
        "upload":null,"older_met":1,"replaced_ms":9}"#;
    let place: Place = serde_json::from_str(stored).unwrap();
    assert_eq!((place.after.as_deref(), place.left, place.retries), (Some("k"), None, 0));
}

#[test]
fn what_could_not_be_moved_is_told_until_it_is_moved_or_the_rules_are_others() {
    let failures = |count| Failures { count, last: (count > 0).then(|| "k: why".to_owned()) };
    let moved = |done, failed| Moved { done, left: failed, failures: failures(failed) };
    let mut place = Place { rules: "a".into(), began_ms: 5 * DAY_MS, ..at_key("d") };
    assert_eq!(place.clone().progress("a"), None, "nothing became of it yet");
    // It was told of only when the first 16 GiB were moved.
    let mut moving = place.clone().while_moving(9);
    assert!(moving.clone().progress("a").is_some_and(|told| told.is_running && told.moving == 9));
    moving.resume();
    assert_eq!(moving, place, "a walk that was cut off counts them anew");
    place.note_moved(moved(3, 0), &at_key("b"));
    assert!(place.clone().progress("a").is_some_and(|told| told.is_running && told.moved == 3));
    place.note_moved(moved(4, 2), &at_key("b"));
    place.begin(Stage::Done);
    place.end(UnixMillis(5 * DAY_MS));
    let told = place.clone().progress("a").unwrap();
    assert_eq!((told.is_running, told.moved, told.failures), (false, 7, failures(2)));
    assert_eq!(place.clone().progress("b"), None);
    let mut retry = place.next_walk("a".into(), DayLength::Real, UnixMillis(5 * DAY_MS + 300_000));
    assert!(retry.is_retry());
    retry.note_moved(moved(2, 0), &at_key("b"));
    retry.begin(Stage::Done);
    retry.end(UnixMillis(5 * DAY_MS + 300_000));
    assert_eq!(retry.progress("a"), None);
}
