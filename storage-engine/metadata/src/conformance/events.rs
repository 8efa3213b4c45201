//! The queue of events, and what buckets hold.

use granary_types::{UnixMillis, VersionId, WriteId};

use super::sample::{
    bucket, bucket_id, commit, complete, delete, done, id, key, object, one, open_written, put, put_empty,
    put_part, upload, upload_id, version_id, w,
};
use crate::model::{
    BucketUsage, Content, DeleteObject, EventCause, EventPlace, NewEvent, Outcome, RemoveObject, TagMatch,
    VersionKind, Write, WriteConditions,
};
use crate::store::MetadataStore;

fn place(target: &str, b: u64, at_ms: i64, n: u64) -> EventPlace {
    EventPlace {
        target: target.to_owned(),
        bucket: bucket_id(b),
        at: UnixMillis(at_ms),
        id: WriteId::from_bytes(id(n)),
    }
}

fn event(place: EventPlace) -> Write {
    let event = format!("event {}", place.at.0).into_bytes();
    Write::Event(Box::new(NewEvent { place, event }))
}

fn removal(k: &str, n: u64) -> Write {
    Write::Remove(Box::new(RemoveObject {
        bucket: bucket_id(1),
        key: key(k),
        conditions: WriteConditions::default(),
        version: version_id(n),
        write: WriteId::from_bytes(id(n)),
        modified: UnixMillis(4_000),
    }))
}

/// The times and the causes of all events.
async fn queue(store: &dyn MetadataStore) -> Vec<(i64, EventCause)> {
    let events = store.events(None, 100).await.unwrap();
    events.iter().map(|event| (event.place.at.0, event.cause)).collect()
}

/// An event is queued with the write before it, knows what came of it, and is not if it was refused.
pub async fn events_are_queued_with_their_write(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    let mut refused = put_empty(1, "a", 2);
    refused.conditions.if_none_match = Some(TagMatch::Any);
    let writes = vec![
        w(put_empty(1, "a", 1)),
        event(place("t", 1, 1, 1)),
        event(place("u", 1, 2, 1)),
        w(refused),
        event(place("t", 1, 3, 3)),
        w(put_empty(1, "a", 4)),
        event(place("t", 1, 4, 4)),
        removal("none", 5),
        event(place("t", 1, 5, 5)),
        removal("a", 6),
        event(place("t", 1, 6, 6)),
    ];
    let outcomes = commit(store, writes).await;
    let done = |at: usize| matches!(outcomes[at], Outcome::Done { .. });
    assert!(done(1) && done(2) && done(6) && done(10), "{outcomes:?}");
    assert_eq!((&outcomes[4], &outcomes[8]), (&Outcome::NoSuchKey, &Outcome::NoSuchKey));
    let put = |order| EventCause { order, marker: None };
    assert_eq!(queue(store).await, [(1, put(1)), (4, put(2)), (6, put(3)), (2, put(1))]);
    // Alone it is always queued.
    assert!(matches!(one(store, event(place("s", 9, 7, 7))).await, Outcome::Done { .. }));
    assert_eq!(store.events(None, 1).await.unwrap()[0].event, b"event 7");
}

/// The event of a delete tells the marker that it left.
pub async fn events_tell_delete_markers(store: &dyn MetadataStore) {
    use crate::model::BucketChange::EnableVersioning;
    store.create_bucket(bucket(1)).await.unwrap();
    store.change_bucket(&bucket(1).name, EnableVersioning).await.unwrap();
    commit(store, vec![removal("a", 6), event(place("t", 1, 1, 1))]).await;
    let marked = EventCause { order: 1, marker: Some(version_id(6)) };
    assert_eq!(queue(store).await, [(1, marked)]);
}

/// Events are listed in pages in the order of their places, counted for a target up to a limit, and taken out.
pub async fn events_are_listed_and_finished(store: &dyn MetadataStore) {
    let mut places = Vec::new();
    for (target, b, at) in [("a", 1, 5), ("a", 2, 1), ("b", 1, 1), ("b", 1, 2), ("b", 3, 1)] {
        places.push(place(target, b, at, 1));
    }
    commit(store, places.iter().rev().cloned().map(event).collect()).await;
    let listed = async |after: Option<EventPlace>, limit: u32| {
        let events = store.events(after, limit).await.unwrap();
        events.into_iter().map(|event| event.place).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 10).await, places);
    assert_eq!(listed(None, 2).await, places[..2]);
    assert_eq!(listed(Some(places[1].clone()), 10).await, places[2..]);
    assert_eq!(store.count_events("b", 10).await.unwrap(), 3);
    assert_eq!(store.count_events("b", 2).await.unwrap(), 2);
    assert_eq!(store.count_events("c", 2).await.unwrap(), 0);
    store.finish_events(vec![places[2].clone(), place("none", 1, 1, 1)]).await.unwrap();
    store.finish_events(Vec::new()).await.unwrap();
    assert_eq!(store.count_events("b", 10).await.unwrap(), 2);
    // What is queued again in the same place is there once.
    commit(store, vec![event(places[0].clone())]).await;
    assert_eq!(listed(None, 10).await.len(), 4);
}

fn put_long(k: &str, tag: u64, version: u64, length_bytes: u64) -> Write {
    let mut put = put(1, k, object(tag, Content::Empty, length_bytes));
    put.object.version = version_id(version);
    w(put)
}

async fn used(store: &dyn MetadataStore) -> (u64, u64) {
    let BucketUsage { bytes, objects } = store.bucket_usage(bucket_id(1)).await.unwrap();
    (bytes, objects)
}

/// Versions and parts count, delete markers and what is gone do not, and a recount agrees.
pub async fn usage_follows_the_writes(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    assert_eq!(used(store).await, (0, 0));
    done(store, put_long("a", 1, 0, 100)).await;
    done(store, put_long("a", 2, 0, 70)).await;
    done(store, put_long("b", 3, 3, 5)).await;
    done(store, put_long("b", 4, 4, 6)).await;
    assert_eq!(used(store).await, (81, 3));
    let mut marker = put_empty(1, "b", 5);
    (marker.object.kind, marker.object.version) = (VersionKind::DeleteMarker, version_id(5));
    done(store, w(marker)).await;
    assert_eq!(used(store).await, (81, 3));
    let gone = |k: &str, version: VersionId| Write::Delete(DeleteObject { version, ..delete(1, k) });
    done(store, gone("b", version_id(3))).await;
    done(store, gone("b", version_id(5))).await;
    assert_eq!(used(store).await, (76, 2));
    for n in [7, 8] {
        done(store, Write::CreateUpload(Box::new(upload(1, "u", n, 1)))).await;
        done(store, Write::PutPart(Box::new(put_part(1, "u", n, 1, (n * 10, 1, 40))))).await;
    }
    done(store, Write::PutPart(Box::new(put_part(1, "u", 7, 1, (71, 1, 30))))).await;
    done(store, Write::PutPart(Box::new(put_part(1, "u", 7, 2, (72, 1, 9))))).await;
    assert_eq!(used(store).await, (76 + 79, 2));
    done(store, Write::CompleteUpload(Box::new(complete(1, "u", 7, 90, &[(1, 71, 30)])))).await;
    assert_eq!(used(store).await, (76 + 70, 3));
    store.recount().await.unwrap();
    assert_eq!(used(store).await, (76 + 70, 3));
    let abort = Write::AbortUpload { bucket: bucket_id(1), key: key("u"), upload: upload_id(8) };
    done(store, abort).await;
    for (k, version) in [("a", 0), ("b", 4), ("u", 0)] {
        done(store, gone(k, version_id(version))).await;
    }
    assert_eq!(used(store).await, (0, 0));
    store.delete_bucket(&bucket(1).name).await.unwrap();
    assert_eq!(used(store).await, (0, 0));
}
