use bytes::Bytes;

use super::*;
use crate::api::{ByteRange, DeleteEntry, PutOptions};
use crate::recover::Novelty;
use crate::rename::whole;
use crate::sample_body::SampleBody;
use crate::told::Stamp;
use crate::{Engine, EngineOptions};

const LENGTH: usize = 300_000;

fn name() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn key(key: &str) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

/// A store in which a large object and its copy by reference were put and deleted; and their late puts.
async fn deleted(dir: &std::path::Path) -> (Engine, Vec<Late>) {
    let engine = Engine::open(EngineOptions::new(vec![dir.join("d0")])).await.unwrap();
    engine.create_bucket(&name(), "us-east-1", "root").await.unwrap();
    let mut body = SampleBody(Some(Bytes::from(vec![7; LENGTH])));
    engine.put_object(&name(), &key("source"), PutOptions::default(), &mut body).await.unwrap();
    let opened = engine.open_object(&name(), &key("source"), None).await.unwrap();
    let range = ByteRange { start: 0, end: LENGTH as u64 };
    let shared = engine.shared_blobs(&opened, range, Default::default()).await.unwrap().unwrap();
    let mut digests = SampleBody(None);
    engine.put_shared(&name(), &key("copy"), PutOptions::default(), &shared, &mut digests).await.unwrap();
    let mut late = Vec::new();
    for (at_us, which) in (u64::MAX / 2..).zip(["source", "copy"]) {
        let row = engine.open_object(&name(), &key(which), None).await.unwrap().row.clone();
        late.push(Late {
            bucket: engine.bucket(&name()).await.unwrap().id,
            name: None,
            key: key(which),
            stamp: Stamp { at_us, life: 1 },
            deed: LateDeed::Put {
                object: Box::new(row.object),
                conditions: None,
                tags: Vec::new(),
                lock: ObjectLock::default(),
                acl: None,
                is_lost: false,
                novelty: Novelty::New,
            },
        });
        let entry = DeleteEntry {
            key: key(which),
            version: None,
            bypass: Default::default(),
            conditions: Default::default(),
        };
        engine.delete_object(&name(), entry).await.unwrap();
    }
    (engine, late)
}

/// What becomes of late writes when nothing of them was read in the tails, and whether volumes were searched for bytes.
async fn recommit(engine: &Engine, late: Vec<Late>) -> (Recommitted, bool) {
    let recommit = Recommit { inner: &engine.inner, tails: Mutex::default(), timeline: None };
    let done = recommit.all(late).await.unwrap();
    let has_searched = recommit.tails.lock().await.has_searched();
    (done, has_searched)
}

/// The bytes were not looked for, as the metadata knew them when the tails had been read.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_was_reported_as_lost_whose_source_was_deleted_after_the_search() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, late) = deleted(dir.path()).await;
    let copy = late.into_iter().filter(|late| late.key == key("copy")).collect();
    let (done, _) = recommit(&engine, copy).await;
    assert_eq!((done.writes, done.losses), (1, Vec::new()));
    let opened = engine.open_object(&name(), &key("copy"), None).await.unwrap();
    assert_eq!(whole(opened).await.unwrap(), vec![7; LENGTH]);
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_volumes_were_searched_for_bytes_of_what_was_deleted_later() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut late) = deleted(dir.path()).await;
    for put in late.clone() {
        let LateDeed::Put { object, .. } = &put.deed else { continue };
        let write = WriteId::random().unwrap();
        let stamp = Stamp { at_us: put.stamp.at_us + 10, ..put.stamp };
        late.push(Late { stamp, deed: LateDeed::Erase { version: object.version, write }, ..put });
    }
    let (done, has_searched) = recommit(&engine, late).await;
    assert_eq!((done.writes, done.losses, has_searched), (0, Vec::new(), false));
    engine.close().await.unwrap();
}
