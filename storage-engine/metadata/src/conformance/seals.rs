//! Objects that are encrypted: their rows tell how, and count what is really stored.

use super::sample::{
    bucket, bucket_id, complete, delete, done, key, live, location, one, open_written, put_blob, put_empty,
    put_packed, put_part, references, seal, upload, version_id, w,
};
use crate::model::{ObjectMove, Outcome, Write};
use crate::store::MetadataStore;

async fn begin(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    for n in 1..=2 {
        open_written(store, n).await;
    }
}

/// Each kind of encryption and of content is read back as it was put; its bytes live as long as it does.
pub async fn encrypted_objects_are_kept_and_counted(store: &dyn MetadataStore) {
    begin(store).await;
    for n in 1..=3 {
        for (mut put, bytes) in [
            (put_empty(1, "a", n), 0),
            (put_packed(1, "a", n + 10, 1, 116), 116),
            (put_blob(1, "a", n + 20, 1, 216), 216),
        ] {
            // What clients see is shorter than what is stored.
            put.object.length_bytes = put.object.length_bytes.saturating_sub(16);
            put.object.content = put.object.content.sealed(seal(n));
            done(store, w(put.clone())).await;
            let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
            assert_eq!(row.object, put.object);
            assert_eq!(row.object.content.seal(), Some(&seal(n)));
            assert_eq!(live(store, 1).await, bytes);
        }
    }
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!(live(store, 1).await, 0);
}

/// A packed object that compaction moves stays encrypted as it was.
pub async fn moves_leave_the_encryption(store: &dyn MetadataStore) {
    begin(store).await;
    let mut put = put_packed(1, "a", 1, 1, 116);
    put.object.content = put.object.content.sealed(seal(2));
    done(store, w(put)).await;
    let (from, to) = (location(1, 4096, 116), location(2, 0, 116));
    let moved =
        ObjectMove { bucket: bucket_id(1), key: key("a"), version: version_id(0), from, to: to.clone() };
    let moved = Write::MoveObject(Box::new(moved));
    assert_eq!(one(store, moved.clone()).await, Outcome::Done { replaced: None, order: 0 });
    let content = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap().object.content;
    assert_eq!((content.packed(), content.seal()), (Some(&to), Some(&seal(2))));
    assert_eq!((live(store, 1).await, live(store, 2).await), (0, 116));
    assert_eq!(one(store, moved).await, Outcome::Moved);
}

/// A completed upload may be encrypted; its parts are handed over like those of any other.
pub async fn completions_may_be_encrypted(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, Write::CreateUpload(Box::new(upload(1, "a", 1, 0)))).await;
    for part in 1..=2 {
        done(store, Write::PutPart(Box::new(put_part(1, "a", 1, part, (u64::from(part), 1, 100))))).await;
    }
    let mut completion = complete(1, "a", 1, 9, &[(1, 1, 84), (2, 2, 84)]);
    completion.object.content = completion.object.content.sealed(seal(3));
    done(store, Write::CompleteUpload(Box::new(completion.clone()))).await;
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!(row.object, completion.object);
    assert_eq!((row.object.content.parts().len(), row.object.length_bytes), (2, 168));
    assert_eq!((references(store, 1).await, live(store, 1).await), (Some(1), 200));
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!(live(store, 1).await, 0);
}
