use granary_engine::{EventCause, EventPlace, Origin};
use granary_types::{BucketId, BucketName, Etag, UnixMillis, WriteId};

use super::*;

fn waiting(kind: EventKind, key: &str, cause: EventCause) -> WaitingEvent {
    let place = EventPlace {
        target: "t".to_owned(),
        bucket: BucketId::from_bytes([1; 16]),
        at: UnixMillis(1_700_000_000_123),
        id: WriteId::from_bytes([2; 16]),
    };
    let event = Event {
        kind,
        bucket: BucketName::new("corpora").unwrap(),
        owner: "account:123456789012:c:ann".to_owned(),
        region: "us-east-1".to_owned(),
        rule: "rule".to_owned(),
        key: key.to_owned(),
        version: None,
        object: matches!(kind, EventKind::CreatedPut).then(|| (5, Etag::new("d41d8"))),
        origin: Origin {
            principal: "AWS:AIDA".to_owned(),
            address: "10.0.0.1".to_owned(),
            ..Origin::default()
        },
    };
    WaitingEvent { place, cause, event: Some(event) }
}

fn sent(waiting: &WaitingEvent) -> Value {
    let message = message(waiting, &S3Config::default()).unwrap();
    serde_json::from_str(&message.body).unwrap()
}

#[test]
fn a_record_has_what_aws_has() {
    let cause = EventCause { order: 7, marker: None };
    let record = sent(&waiting(EventKind::CreatedPut, "a b/ü+\u{e9}.jpg", cause))["Records"][0].clone();
    assert_eq!(record["eventName"], "ObjectCreated:Put");
    assert_eq!((&record["eventVersion"], &record["eventSource"]), (&json!("2.1"), &json!("aws:s3")));
    assert_eq!(record["eventTime"], "2023-11-14T22:13:20.123Z");
    assert_eq!(record["s3"]["object"]["key"], "a+b/%C3%BC%2B%C3%A9.jpg");
    assert_eq!(
        (&record["s3"]["object"]["size"], &record["s3"]["object"]["eTag"]),
        (&json!(5), &json!("d41d8"))
    );
    assert_eq!(record["s3"]["object"]["sequencer"], "018BCFE5687B0000000007");
    assert_eq!(record["s3"]["bucket"]["ownerIdentity"]["principalId"], "123456789012");
    assert_eq!(record["s3"]["bucket"]["arn"], "arn:aws:s3:::corpora");
    assert_eq!(record["userIdentity"]["principalId"], "AWS:AIDA");
    assert!(record["s3"]["object"].get("versionId").is_none());
}

#[test]
fn a_delete_is_named_by_what_it_left() {
    let marker = EventCause { order: 3, marker: Some(VersionId::from_bytes([9; 16])) };
    let record = sent(&waiting(EventKind::RemovedDelete, "k", marker))["Records"][0].clone();
    assert_eq!(record["eventName"], "ObjectRemoved:DeleteMarkerCreated");
    assert!(record["s3"]["object"]["versionId"].is_string() && record["s3"]["object"].get("size").is_none());
    let record = sent(&waiting(EventKind::ExpiredMarker, "k", EventCause::default()))["Records"][0].clone();
    assert_eq!(
        (&record["eventName"], &record["eventVersion"]),
        (&json!("LifecycleExpiration:Delete"), &json!("2.3"))
    );
}

#[test]
fn a_test_is_no_record() {
    let test = sent(&waiting(EventKind::Test, "", EventCause::default()));
    assert_eq!((&test["Event"], &test["Bucket"]), (&json!("s3:TestEvent"), &json!("corpora")));
    assert!(test.get("Records").is_none());
}

#[test]
fn later_events_have_later_sequencers() {
    let sequencer = |at_ms, order| {
        let mut event = waiting(EventKind::CreatedPut, "k", EventCause { order, marker: None });
        event.place.at = UnixMillis(at_ms);
        sent(&event)["Records"][0]["s3"]["object"]["sequencer"].as_str().map(str::to_owned)
    };
    assert!(sequencer(1_700_000_000_000, 9) < sequencer(1_700_000_000_000, 10));
    assert!(sequencer(1_700_000_000_000, 10) < sequencer(1_700_000_000_001, 1));
}
