//! Several nodes over one database that change the same few things at once.

use crate::pg;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use granary_metadata::conformance::random::Dice;
use granary_metadata::conformance::sample::{
    advance, blob_id, bucket, bucket_id, complete, delete, id, key, live, location, object, open_written,
    put, put_blob, put_empty, put_packed, put_part, upload, upload_id, version_id, volume_id, w,
};
use granary_metadata::postgres::PostgresStore;
use granary_metadata::{
    BlobMove, BucketChange, BucketLock, Bypass, Commit, Content, EraseObject, EraseTerms, LegalHold,
    LockChange, Locking, MetadataStore, ObjectLock, ObjectMove, Outcome, PartQuery, PartRef, Write,
};
use granary_types::{UnixMillis, WriteId};
use sqlx::{Connection, Executor, PgConnection};

use crate::postgres_foreseen::locked_out;

const KEYS: [&str; 4] = ["a", "a/b", "b", "\u{10FFFF}"];
const UPLOADS: u64 = 3;

/// Every upload and blob of the test has a number of its own.
static NEXT: AtomicU64 = AtomicU64::new(1000);

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// A change of something that others change too. What it reads may be stale when it is committed: that is the point.
async fn any_write(store: &PostgresStore, dice: &mut Dice, v: u64) -> Write {
    let name = KEYS[usize::try_from(dice.roll(4)).unwrap()];
    let (n, version) = (next(), version_id(dice.roll(3)));
    let current = store.object(bucket_id(1), &key(name), None).await.unwrap();
    let content = current.as_ref().map(|row| row.object.content.clone());
    let mut new = match dice.roll(9) {
        0 => put_empty(1, name, n),
        1 | 2 => put_packed(1, name, n, v, 100),
        3 => put_blob(1, name, n, v, 1000),
        4 | 5 => {
            let mut gone = delete(1, name);
            gone.version = current.map_or(version, |row| row.object.version);
            return Write::Delete(gone);
        }
        6 => match content {
            // A copy by reference, to another key.
            Some(content @ Content::Blobs { .. }) => put(1, KEYS[0], object(n, content, 1000)),
            _ => put_blob(1, name, n, v, 1000),
        },
        7 => return any_upload(store, dice, v).await,
        _ => return any_move(store, current.map(|row| row.object), name, v).await,
    };
    new.object.version = version;
    w(new)
}

async fn any_upload(store: &PostgresStore, dice: &mut Dice, v: u64) -> Write {
    let (n, name) = (1 + dice.roll(UPLOADS), KEYS[0]);
    let query = PartQuery { bucket: bucket_id(1), key: key(name), upload: upload_id(n), after: 0, limit: 10 };
    let parts = store.list_parts(query).await.unwrap().parts;
    match dice.roll(5) {
        0 => Write::CreateUpload(Box::new(upload(1, name, n, 5))),
        1 if !parts.is_empty() => {
            let mut whole = complete(1, name, n, next(), &[]);
            whole.parts = parts.iter().map(|part| (part.number, part.write)).collect();
            let refs = parts.iter().map(|part| PartRef {
                number: part.number,
                blob: part.blob,
                length_bytes: part.length_bytes,
                checksum: None,
            });
            whole.object.content = Content::Blobs { parts: refs.collect(), multipart: true };
            Write::CompleteUpload(Box::new(whole))
        }
        2 => Write::AbortUpload { bucket: bucket_id(1), key: key(name), upload: upload_id(n) },
        _ => {
            let part = 1 + u32::try_from(dice.roll(3)).unwrap();
            Write::PutPart(Box::new(put_part(1, name, n, part, (next(), v, 300))))
        }
    }
}

async fn any_move(
    store: &PostgresStore,
    current: Option<granary_metadata::NewObject>,
    name: &str,
    v: u64,
) -> Write {
    match current.as_ref().map(|object| &object.content) {
        Some(Content::Packed(from)) => Write::MoveObject(Box::new(ObjectMove {
            bucket: bucket_id(1),
            key: key(name),
            version: current.as_ref().unwrap().version,
            from: from.clone(),
            to: location(v, next() * 4096, from.length_bytes),
        })),
        Some(Content::Blobs { parts, .. }) => {
            let blob = parts[0].blob;
            let from = store.blobs(&[blob]).await.unwrap().pop().map(|row| row.extents).unwrap_or_default();
            let mut to = from.clone();
            for extent in &mut to {
                extent.volume = volume_id(v);
                extent.offset += 1;
            }
            Write::MoveBlob(Box::new(BlobMove { blob, from, to }))
        }
        _ => w(put_packed(1, name, next(), v, 100)),
    }
}

async fn changes(store: Arc<PostgresStore>, seed: u64, v: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let mut done = 0;
    for step in 0..150 {
        let mut writes = Vec::new();
        for _ in 0..=dice.roll(3) {
            writes.push(any_write(&store, &mut dice, v).await);
        }
        let outcomes = store.commit(Commit { advances: vec![advance(v, step, 1)], writes }).await.unwrap();
        let is_done = |outcome: &&Outcome| matches!(outcome, Outcome::Done { .. });
        done += u64::try_from(outcomes.iter().filter(is_done).count()).unwrap();
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_change_the_same_things_at_once_keep_the_books_right() {
    let (url, name) = tokio::task::spawn_blocking(pg::fresh_named_database).await.unwrap();
    let stores = [pg::open(&url).await, pg::open(&url).await, pg::open(&url).await];
    stores[0].create_bucket(bucket(1)).await.unwrap();
    for v in 1..=3 {
        open_written(&*stores[0], v).await;
    }
    let tasks: Vec<_> = (0..9_u64)
        .map(|n| {
            let node = n % 3;
            let store = Arc::clone(&stores[usize::try_from(node).unwrap()]);
            tokio::spawn(changes(store, n + 1, node + 1))
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    assert!(done > 1000, "only {done} writes were done");
    assert_eq!(stores[1].recount().await.unwrap(), [], "the accounting drifted");
    let count = |sql: &str| pg::shared().sql(&name, sql).unwrap();
    assert_eq!(
        count(
            "SELECT count(*) FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM blob_refs r WHERE r.blob_id = b.id)"
        ),
        "0"
    );
    assert_eq!(
        count(
            "SELECT count(*) FROM blob_refs r WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE r.blob_id = b.id)"
        ),
        "0"
    );
    assert_eq!(
        count(
            "SELECT count(*) FROM objects o WHERE older_count <> (SELECT count(*) FROM object_versions v \
             WHERE v.bucket_id = o.bucket_id AND v.key = o.key)"
        ),
        "0"
    );
    // Taking everything away leaves nothing.
    for key_name in KEYS {
        while let Some(row) = stores[2].object(bucket_id(1), &key(key_name), None).await.unwrap() {
            let mut gone = delete(1, key_name);
            gone.version = row.object.version;
            let writes = vec![Write::Delete(gone)];
            stores[2].commit(Commit { advances: vec![], writes }).await.unwrap();
        }
    }
    for n in 1..=UPLOADS {
        let writes =
            vec![Write::AbortUpload { bucket: bucket_id(1), key: key(KEYS[0]), upload: upload_id(n) }];
        stores[2].commit(Commit { advances: vec![], writes }).await.unwrap();
    }
    assert_eq!(count("SELECT count(*) FROM blobs"), "0");
    for v in 1..=3 {
        assert_eq!(live(&*stores[0], v).await, 0);
        stores[0].seal_volume(volume_id(v)).await.unwrap();
        assert!(stores[0].free_volume(volume_id(v), UnixMillis(1)).await.unwrap(), "volume {v}");
    }
    stores[0].delete_bucket(&bucket(1).name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folding_keeps_what_was_accounted() {
    let (url, name) = tokio::task::spawn_blocking(pg::fresh_named_database).await.unwrap();
    let stores = [pg::open(&url).await, pg::open(&url).await];
    stores[0].create_bucket(bucket(1)).await.unwrap();
    open_written(&*stores[0], 1).await;
    for n in 1..=300_u64 {
        let writes = vec![w(put_packed(1, &format!("k{n}"), n, 1, 10))];
        stores[usize::try_from(n % 2).unwrap()]
            .commit(Commit { advances: vec![advance(1, n, 1)], writes })
            .await
            .unwrap();
        assert_eq!(live(&*stores[0], 1).await, n * 10);
    }
    let begun = Instant::now();
    let left =
        || pg::shared().sql(&name, "SELECT count(*) FROM volume_deltas").unwrap().parse::<u64>().unwrap();
    while left() > 100 {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing is folded");
        assert_eq!(live(&*stores[1], 1).await, 3000);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(live(&*stores[0], 1).await, 3000);
    assert_eq!(stores[0].recount().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recount_repairs_what_drifted() {
    let (url, name) = tokio::task::spawn_blocking(pg::fresh_named_database).await.unwrap();
    let store = pg::open(&url).await;
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(&*store, 1).await;
    let writes = vec![w(put_packed(1, "a", 1, 1, 10)), w(put_blob(1, "b", 2, 1, 7))];
    store.commit(Commit { advances: vec![], writes }).await.unwrap();
    pg::shared().sql(&name, "UPDATE volumes SET live_bytes = live_bytes + 5").unwrap();
    assert_eq!(store.recount().await.unwrap(), [(volume_id(1), 22, 17)]);
    assert_eq!(live(&*store, 1).await, 17);
    assert_eq!(store.recount().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotten_row_fails_only_who_asks_for_it() {
    let (url, name) = tokio::task::spawn_blocking(pg::fresh_named_database).await.unwrap();
    let store = pg::open(&url).await;
    store.create_bucket(bucket(1)).await.unwrap();
    let writes = vec![w(put_empty(1, "a", 1)), w(put_empty(1, "b", 2))];
    store.commit(Commit { advances: vec![], writes }).await.unwrap();
    pg::shared().sql(&name, "UPDATE objects SET length_bytes = 77 WHERE key = 'a'").unwrap();
    let (a, b) = (key("a"), key("b"));
    let (rotten, sound) =
        tokio::join!(store.object(bucket_id(1), &a, None), store.object(bucket_id(1), &b, None));
    assert!(rotten.is_err());
    assert!(sound.unwrap().is_some());
    let put = |name: &str, tag| Commit { advances: vec![], writes: vec![w(put_empty(1, name, tag))] };
    let (rotten, sound) = tokio::join!(store.commit(put("a", 3)), store.commit(put("b", 4)));
    assert!(rotten.is_err());
    assert!(matches!(sound.unwrap().as_slice(), [Outcome::Done { order: 2, .. }]));
}

/// Whatever became of the columns of a lock: a version whose lock cannot be believed is not erased.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_cannot_be_read_holds() {
    let (url, database) = tokio::task::spawn_blocking(pg::fresh_named_database).await.unwrap();
    let store = pg::open(&url).await;
    store.create_bucket(bucket(1)).await.unwrap();
    for change in [BucketChange::EnableVersioning, BucketChange::SetLock(BucketLock::default())] {
        store.change_bucket(&bucket(1).name, change).await.unwrap();
    }
    let mut put = put_empty(1, "a", 1);
    put.object.version = version_id(1);
    let initial = ObjectLock { retention: None, legal_hold: LegalHold::On };
    let lock = Write::Lock(Box::new(Locking {
        bucket: bucket_id(1),
        key: key("a"),
        version: version_id(1),
        write: WriteId::from_bytes(id(1)),
        change: LockChange::Initial(initial),
    }));
    store.commit(Commit { advances: vec![], writes: vec![w(put), lock] }).await.unwrap();
    let erase = async || {
        let mut delete = delete(1, "a");
        delete.version = version_id(1);
        let terms = EraseTerms { at: UnixMillis(1), bypass: Bypass::Governance, expected: None };
        let erase = Write::Erase(Box::new(EraseObject { delete, terms }));
        store.commit(Commit { advances: vec![], writes: vec![erase] }).await
    };
    let sql = |text: &str| pg::shared().sql(&database, text).unwrap();
    let hold = sql("SELECT legal_hold FROM objects");
    let restored = format!("legal_hold = {}", hold.trim());
    for (broken, mended) in [
        ("legal_hold = 0", restored.as_str()),
        ("legal_hold = 9", &restored),
        ("legal_hold = 0, lock_mode = 1", &format!("{restored}, lock_mode = NULL")),
        ("lock_until_ms = 5", "lock_until_ms = NULL"),
    ] {
        sql(&format!("UPDATE objects SET {broken}"));
        assert!(erase().await.is_err(), "{broken}");
        sql(&format!("UPDATE objects SET {mended}"));
        assert!(
            store.object(bucket_id(1), &key("a"), Some(version_id(1))).await.unwrap().is_some(),
            "{mended}"
        );
    }
    assert!(matches!(erase().await.unwrap().as_slice(), [Outcome::Locked]), "it is held");
}

/// An upload that is not there cannot be locked. Of two nodes that made one of the same name, the second stored its part over the
/// first's, and the first one's blob was never freed; at worst an upload was completed with a blob that was gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_made_the_same_upload() {
    let (url, database) = tokio::task::spawn_blocking(pg::fresh_named_database).await.unwrap();
    let [ours, theirs] = [pg::open(&url).await, pg::open(&url).await];
    ours.create_bucket(bucket(1)).await.unwrap();
    for v in 1..=2 {
        open_written(&*ours, v).await;
    }
    let written = vec![w(put_blob(1, "k", 1, 1, 10))];
    ours.commit(Commit { advances: vec![], writes: written }).await.unwrap();
    let begun = |tag, v| {
        let part = Write::PutPart(Box::new(put_part(1, "a", 9, 1, (tag, v, 300))));
        vec![Write::CreateUpload(Box::new(upload(1, "a", 9, 5))), part]
    };
    // Our batch waits for a blob when it has looked for the upload.
    let mut lock = PgConnection::connect(&url).await.unwrap();
    lock.execute("BEGIN").await.unwrap();
    lock.execute("SELECT id FROM blobs FOR UPDATE").await.unwrap();
    let mut writes = begun(2, 1);
    let shared = ours.object(bucket_id(1), &key("k"), None).await.unwrap().unwrap().object.content;
    writes.push(w(put(1, "copy", object(4, shared, 10))));
    let store = Arc::clone(&ours);
    let committing = tokio::spawn(async move { store.commit(Commit { advances: vec![], writes }).await });
    locked_out(&database, 1).await;
    theirs.commit(Commit { advances: vec![], writes: begun(3, 2) }).await.unwrap();
    lock.execute("COMMIT").await.unwrap();
    let outcomes = committing.await.unwrap().unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done { .. })), "{outcomes:?}");
    // The part that is there is ours, and theirs is gone whole.
    let query = PartQuery { bucket: bucket_id(1), key: key("a"), upload: upload_id(9), after: 0, limit: 10 };
    let parts = ours.list_parts(query).await.unwrap().parts;
    assert_eq!(parts.iter().map(|part| part.blob).collect::<Vec<_>>(), [blob_id(2)]);
    assert!(ours.blobs(&[blob_id(3)]).await.unwrap().is_empty());
    assert_eq!((live(&*ours, 1).await, live(&*ours, 2).await), (310, 0));
    assert_eq!(ours.recount().await.unwrap(), [], "the accounting drifted");
}
