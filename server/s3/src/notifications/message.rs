//! Events as AWS words them.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use granary_engine::{Event, EventKind, WaitingEvent};
use granary_types::VersionId;
use serde_json::{Map, Value, json};

use crate::access::owner::Owner;
use crate::dates::iso_date_millis;
use crate::encoding::url_encode;
use crate::ops::version;
use crate::state::S3Config;

/// An event to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What tells it from others: the same each time that it is sent.
    pub id: String,
    /// A JSON document.
    pub body: String,
}

/// The message of an event; `None` if what is queued cannot be read.
#[must_use]
pub fn message(waiting: &WaitingEvent, config: &S3Config) -> Option<Message> {
    let event = waiting.event.as_ref()?;
    let time = iso_date_millis(waiting.place.at);
    let body = match event.kind {
        EventKind::Test => json!({
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": time,
            "Bucket": event.bucket.as_str(),
            "RequestId": event.origin.request_id,
            "HostId": event.origin.host_id,
        }),
        _ => json!({ "Records": [record(waiting, event, &time, config)] }),
    };
    Some(Message { id: waiting.place.id.to_string(), body: body.to_string() })
}

fn record(waiting: &WaitingEvent, event: &Event, time: &str, config: &S3Config) -> Value {
    let kind = match event.version {
        Some(_) => event.kind,
        None => event.kind.with_marker(waiting.cause.marker.is_some()),
    };
    let owner = Owner::of_stored(&event.owner, config).account;
    let mut record = json!({
        "eventVersion": version_of(kind),
        "eventSource": "aws:s3",
        "awsRegion": event.region,
        "eventTime": time,
        "eventName": kind.name(),
        "userIdentity": { "principalId": event.origin.principal },
        "requestParameters": { "sourceIPAddress": event.origin.address },
        "responseElements": {
            "x-amz-request-id": event.origin.request_id,
            "x-amz-id-2": event.origin.host_id,
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": event.rule,
            "bucket": {
                "name": event.bucket.as_str(),
                "ownerIdentity": { "principalId": owner },
                "arn": format!("arn:aws:s3:::{}", event.bucket),
            },
            "object": object(waiting, event),
        },
    });
    if let (Some((name, data)), Some(record)) = (of_class(kind), record.as_object_mut()) {
        record.insert(name.to_owned(), data);
    }
    record
}

/// What is told of storage classes beside the object.
fn of_class(kind: EventKind) -> Option<(&'static str, Value)> {
    match kind {
        EventKind::RestoreCompleted { expires, class } => Some((
            "glacierEventData",
            json!({ "restoreEventData": {
                "lifecycleRestorationExpiryTime": iso_date_millis(expires),
                "lifecycleRestoreStorageClass": class.as_str(),
            } }),
        )),
        EventKind::Transition { to } => Some((
            "lifecycleEventData",
            json!({ "transitionEventData": { "destinationStorageClass": to.as_str() } }),
        )),
        _ => None,
    }
}

fn object(waiting: &WaitingEvent, event: &Event) -> Value {
    let mut object = Map::new();
    // As AWS encodes it: a space is a plus.
    object.insert("key".to_owned(), url_encode(&event.key).replace("%20", "+").into());
    if let Some((length_bytes, etag)) = &event.object {
        object.insert("size".to_owned(), (*length_bytes).into());
        object.insert("eTag".to_owned(), etag.as_str().into());
    }
    let shown = |version: &VersionId| version::shown(*version);
    if let Some(version) = waiting.cause.marker.as_ref().or(event.version.as_ref()) {
        object.insert("versionId".to_owned(), shown(version).into());
    }
    // The same length for all, as they are compared as text: the time first, as a key that was deleted counts anew.
    let sequencer = format!("{:012X}{:010X}", waiting.place.at.0.max(0), waiting.cause.order);
    object.insert("sequencer".to_owned(), sequencer.into());
    Value::Object(object)
}

/// The version of the message's structure that AWS gives to these events.
fn version_of(kind: EventKind) -> &'static str {
    match kind {
        EventKind::ExpiredDelete
        | EventKind::ExpiredMarker
        | EventKind::TaggingPut
        | EventKind::TaggingDelete
        | EventKind::RestoreDelete
        | EventKind::Transition { .. }
        | EventKind::AclPut => "2.3",
        _ => "2.1",
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
