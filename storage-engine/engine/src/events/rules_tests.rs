use super::*;

fn rule(events: &[&str], prefix: Option<&str>, suffix: Option<&str>) -> NotificationRule {
    NotificationRule {
        id: "i".to_owned(),
        destination: DestinationKind::Queue,
        arn: "arn:granary:sqs:::t".to_owned(),
        target: "t".to_owned(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        prefix: prefix.map(str::to_owned),
        suffix: suffix.map(str::to_owned),
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap_or_else(|error| unreachable!("{error}"))
}

#[test]
fn names_and_families_of_events_are_taken() {
    let takes = |events: &[&str], kind| rule(events, None, None).takes(kind, &key("k"));
    assert!(takes(&["s3:ObjectCreated:*"], EventKind::CreatedCopy));
    assert!(takes(&["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"], EventKind::RemovedMarker));
    assert!(!takes(&["s3:ObjectCreated:Put"], EventKind::CreatedPost));
    assert!(!takes(&["s3:ObjectRemoved:*"], EventKind::ExpiredDelete));
    assert!(takes(&["s3:LifecycleExpiration:*"], EventKind::ExpiredDelete));
    assert!(!takes(&["s3:ObjectCreated:*"], EventKind::Test));
}

#[test]
fn keys_begin_and_end_as_the_filter_says() {
    let takes = |prefix, suffix, name: &str| {
        rule(&["s3:ObjectCreated:*"], prefix, suffix).takes(EventKind::CreatedPut, &key(name))
    };
    assert!(takes(Some("a/"), Some(".jpg"), "a/b.jpg"));
    assert!(!takes(Some("a/"), Some(".jpg"), "b/a/b.jpg"));
    assert!(!takes(Some("a/"), Some(".jpg"), "a/b.jpg.txt"));
    assert!(takes(Some(""), Some(""), "x"));
}

#[test]
fn the_commit_tells_what_a_delete_became() {
    assert_eq!(EventKind::RemovedDelete.with_marker(true), EventKind::RemovedMarker);
    assert_eq!(EventKind::ExpiredMarker.with_marker(false), EventKind::ExpiredDelete);
    assert_eq!(EventKind::CreatedPut.with_marker(true), EventKind::CreatedPut);
}
