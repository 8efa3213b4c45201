//! A packer that hands over, the packer of a store that takes, and what may go wrong in between.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use granary_cluster::rpc::{
    ClusterSecret, LocalDrives, NotTaken, Peer, PeerOptions, RpcServerOptions, TakesOver, serve,
};
use granary_metadata::{
    Bucket, Content, NewObject, Outcome, PutObject, TagMatch, VersionKind, WriteConditions,
};
use granary_types::{
    Attributes, BucketName, ClusterId, Etag, ObjectKey, StorageClass, UnixMillis, VersionId, WriteId,
};

use super::super::advice::Load;
use super::super::{Door, Head};
use super::*;
use crate::error::{EngineError, Result};
use crate::record::ObjectRecord;
use crate::told::Told;
use crate::waits::Waits;
use crate::write::{Draft, PackWrite, Packer, placeholder};
use crate::{Engine, EngineOptions};

/// What becomes of a hand-over.
#[derive(Clone)]
enum Way {
    /// The store takes it.
    Through,
    /// It goes over a connection.
    Wire(Arc<Peer>),
    /// It is taken, and no answer comes back.
    Lost,
    NotTaken,
    NotUnderstood,
    /// The answer is this.
    Says(Vec<Result<codec::Stored, NotStored>>),
    Garbage,
    Hangs,
}

/// A store, and the way to its packer.
struct Road {
    engine: Engine,
    way: Mutex<Way>,
    asked: AtomicUsize,
}

struct ToRoad(Arc<Road>);

impl Pool for ToRoad {
    fn head(&self) -> Option<(NodeId, Arc<dyn Head>)> {
        let id = NodeId::from_bytes([1; 16]);
        Some((id, Arc::new(Self(Arc::clone(&self.0))) as Arc<dyn Head>))
    }
}

#[async_trait]
impl Head for ToRoad {
    async fn hand_over(&self, pieces: Vec<Bytes>) -> Result<Bytes, HandOverError> {
        let Self(road) = self;
        road.asked.fetch_add(1, Ordering::Relaxed);
        let take = |pieces| road.engine.inner.packer.take_over(NodeId::from_bytes([2; 16]), pieces);
        let unknown = || HandOverError::Unknown("lost".to_owned());
        let way = road.way.lock().clone();
        match way {
            Way::Through => take(pieces).await.map_err(|error| match error {
                NotTaken::Closed => HandOverError::NotTaken("closed".to_owned()),
                NotTaken::Malformed => HandOverError::NotUnderstood("malformed".to_owned()),
            }),
            Way::Wire(peer) => peer.hand_over(pieces).await,
            Way::Lost => {
                let _taken = take(pieces).await;
                Err(unknown())
            }
            Way::NotTaken => Err(HandOverError::NotTaken("away".to_owned())),
            Way::NotUnderstood => Err(HandOverError::NotUnderstood("an older release".to_owned())),
            Way::Says(results) => {
                let answer = Answer { stamp_us: 0, others: Load::default(), results };
                answer.encode().ok_or_else(unknown)
            }
            Way::Garbage => Ok(Bytes::from_static(b"garbage")),
            Way::Hangs => std::future::pending().await,
        }
    }
}

struct Setup {
    road: Arc<Road>,
    sender: Arc<Packer>,
    bucket: Bucket,
    _dir: tempfile::TempDir,
}

impl Setup {
    async fn new(way: Way) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let drives = (0..3).map(|slot| dir.path().join(format!("d{slot}"))).collect();
        let engine = Engine::open(EngineOptions::new(drives)).await.unwrap();
        let name = BucketName::new("bucket").unwrap();
        engine.create_bucket(&name, "us-east-1", "root").await.unwrap();
        let bucket = engine.bucket(&name).await.unwrap();
        let road = Arc::new(Road { engine, way: Mutex::new(way), asked: AtomicUsize::new(0) });
        let sender = Arc::new(sender(&road));
        Self { road, sender, bucket, _dir: dir }
    }

    fn set(&self, way: Way) {
        *self.road.way.lock() = way;
    }

    fn asked(&self) -> usize {
        self.road.asked.load(Ordering::Relaxed)
    }

    /// Has the sender believe that others have much in flight, or nothing known.
    fn join(&self) {
        self.sender.pooling().loads.learn(Load { requests: 20, bytes: 20_000 }, PATIENCE);
    }

    /// Puts an object whose tag is still to come.
    async fn put(&self, name: &str, conditions: WriteConditions) -> Result<(Outcome, Option<Etag>)> {
        let write = WriteId::random().unwrap();
        let object = NewObject {
            version: VersionId::NULL,
            kind: VersionKind::Object,
            write,
            modified: UnixMillis::now(),
            length_bytes: 3,
            etag: placeholder(write),
            storage_class: StorageClass::Standard,
            checksum: None,
            attributes: Attributes::default(),
            content: Content::Empty,
        };
        let (bucket, key) = (self.bucket.id, ObjectKey::new(name).unwrap());
        let told = Told::put(&self.bucket).under(&conditions);
        let record = ObjectRecord::encode(bucket, &key, &object, &told).unwrap();
        let put = PutObject { bucket, key, conditions, object, blobs: Vec::new() };
        let (draft, mut etag) = Draft::untagged(record, write).unwrap();
        let tier = self.road.engine.inner.pool.tiers.usual();
        let write = PackWrite::Put(Box::new(put), Vec::new());
        let outcome = self.sender.write(tier, Bytes::from_static(b"abc"), draft, write).await?;
        Ok((outcome, etag.try_recv().ok()))
    }

    async fn is_there(&self, name: &str) -> bool {
        let key = ObjectKey::new(name).unwrap();
        let found = self.road.engine.inner.store.object(self.bucket.id, &key, None).await.unwrap();
        found.is_some_and(|row| row.object.etag.as_str() == ABC_MD5)
    }

    async fn end(self) {
        self.sender.close();
        timeout(PATIENCE, self.sender.ended()).await.unwrap();
        self.road.engine.close().await.unwrap();
    }
}

const ABC_MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
/// How long something is waited for that has to happen by itself, on however loaded a machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn sender(road: &Arc<Road>) -> Packer {
    let inner = &road.engine.inner;
    let pool = Arc::new(ToRoad(Arc::clone(road))) as Arc<dyn Pool>;
    Packer::new((&inner.pool, &inner.store), 2, Arc::clone(&inner.upkeep), Some(pool))
}

fn is_done(put: &Result<(Outcome, Option<Etag>)>) -> bool {
    let etag = |etag: &Option<Etag>| etag.as_ref().is_some_and(|etag| etag.as_str() == ABC_MD5);
    put.as_ref().is_ok_and(|(outcome, tag)| matches!(outcome, Outcome::Done { .. }) && etag(tag))
}

fn is_unavailable(put: &Result<(Outcome, Option<Etag>)>) -> bool {
    matches!(put, Err(EngineError::Unavailable { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_over_is_stored_and_its_outcome_and_tag_come_back() {
    let setup = Setup::new(Way::Through).await;
    let head = &setup.road.engine.inner.packer;
    let ahead_us = {
        let mut stamps = head.queues().shared.stamps.lock();
        stamps.raise(u64::MAX, UnixMillis::now().0);
        stamps.last_us()
    };
    // How far ahead a stamp may be taken over is counted in milliseconds.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    assert!(is_done(&setup.put("a", WriteConditions::default()).await));
    assert_eq!(setup.asked(), 1);
    assert!(setup.is_there("a").await);
    assert!(setup.sender.queues().shared.stamps.lock().last_us() > ahead_us, "later ones are stamped later");
    setup.join();
    let none_match = WriteConditions { if_none_match: Some(TagMatch::Any), ..WriteConditions::default() };
    let refused = setup.put("a", none_match.clone()).await.unwrap();
    assert_eq!(refused.0, Outcome::PreconditionFailed);
    setup.join();
    assert!(is_done(&setup.put("b", none_match).await));
    assert_eq!(setup.asked(), 3);
    let own = setup.sender.pooling().loads.own();
    assert_eq!(own, Load::default(), "nothing is in flight any more");
    // The head closes: what comes is packed by the sender.
    head.close();
    setup.join();
    assert!(is_done(&setup.put("c", WriteConditions::default()).await));
    assert!(setup.is_there("c").await);
    assert_eq!(setup.asked(), 4);
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_surely_not_stored_is_packed_here() {
    let setup = Setup::new(Way::NotTaken).await;
    let says = |not_stored| Way::Says(vec![Err(not_stored)]);
    let ways = [Way::NotTaken, says(NotStored::Drives), says(NotStored::NoSpace), Way::NotUnderstood];
    for (number, way) in (1..).zip(ways) {
        setup.set(way);
        setup.join();
        let name = format!("object-{number}");
        assert!(is_done(&setup.put(&name, WriteConditions::default()).await), "{name}");
        assert!(setup.is_there(&name).await);
        assert_eq!(setup.asked(), number);
    }
    // Who does not understand is not asked again soon.
    setup.join();
    assert!(is_done(&setup.put("later", WriteConditions::default()).await));
    assert_eq!(setup.asked(), 4);
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_stored_is_not_tried_again() {
    let setup = Setup::new(Way::Lost).await;
    assert!(is_unavailable(&setup.put("lost", WriteConditions::default()).await));
    assert!(setup.is_there("lost").await);
    let tagless = codec::Stored::new(&Outcome::Done { replaced: None, order: 1 }, None, Waits::default());
    let ways = [
        Way::Garbage,
        Way::Says(vec![Err(NotStored::Unknown)]),
        Way::Says(Vec::new()),
        Way::Says(vec![Ok(tagless.unwrap())]),
    ];
    for (number, way) in (1..).zip(ways) {
        setup.set(way);
        setup.join();
        let name = format!("object-{number}");
        assert!(is_unavailable(&setup.put(&name, WriteConditions::default()).await), "{name}");
        assert!(!setup.is_there(&name).await);
    }
    assert_eq!(setup.asked(), 5);
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_head_that_is_late_nobody_waits_long() {
    let setup = Setup::new(Way::Hangs).await;
    setup.join();
    let late = async {
        let puts = ["x", "y", "z"].map(|name| setup.put(name, WriteConditions::default()));
        futures::future::join_all(puts).await
    };
    let packed = async {
        let begun = Instant::now();
        while setup.asked() == 0 {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while setup.asked() < UNDER_WAY_MAX as usize {
            setup.join();
            // Its client hangs up.
            let put = setup.put("a", WriteConditions::default());
            let _late = timeout(Duration::from_millis(100), put).await;
        }
        setup.join();
        setup.put("last", WriteConditions::default()).await
    };
    tokio::select! {
        _ = late => panic!("who hangs has answered"),
        packed = timeout(PATIENCE, packed) => assert!(is_done(&packed.unwrap())),
    }
    assert!(setup.is_there("last").await);
    assert_eq!(setup.asked(), UNDER_WAY_MAX as usize);
    setup.road.engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_together_go_together() {
    let setup = Setup::new(Way::Through).await;
    setup.join();
    let names: Vec<String> = (0..15).map(|number| format!("object-{number}")).collect();
    let puts = names.iter().map(|name| setup.put(name, WriteConditions::default()));
    let done = futures::future::join_all(puts).await;
    assert!(done.iter().all(is_done));
    assert!((1..15).contains(&setup.asked()), "{}", setup.asked());
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_over_by_another_node_comes_in_at_the_door() {
    let setup = Setup::new(Way::NotTaken).await;
    let (secret, cluster) = (ClusterSecret::new(&[7; 32]).unwrap(), ClusterId::from_bytes([1; 16]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let door = Arc::new(Door::default());
    let mut options = RpcServerOptions::new(secret.clone(), cluster, NodeId::from_bytes([1; 16]));
    options.takes_over = Some(Arc::clone(&door) as Arc<dyn TakesOver>);
    let drives: Arc<dyn LocalDrives> = Arc::new(Vec::new);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let served = tokio::spawn(serve(listener, options, drives, stopped));
    let peer = Peer::new(PeerOptions::new(address, secret, cluster, NodeId::from_bytes([2; 16]))).unwrap();
    let begun = Instant::now();
    while !peer.state().is_alive() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let peer = Arc::new(peer);
    setup.set(Way::Wire(Arc::clone(&peer)));
    let stamped = || setup.road.engine.inner.packer.queues().shared.stamps.lock().last_us();
    let before = stamped();
    // Before the store is open nothing is taken: it is packed where it is.
    assert!(is_done(&setup.put("early", WriteConditions::default()).await));
    assert_eq!(stamped(), before);
    door.open(&setup.road.engine.inner);
    setup.join();
    assert!(is_done(&setup.put("late", WriteConditions::default()).await));
    assert!(stamped() > before);
    assert!(setup.is_there("early").await && setup.is_there("late").await);
    stop.send_replace(true);
    setup.set(Way::NotTaken);
    drop(peer);
    served.await.unwrap().unwrap();
    setup.end().await;
}
