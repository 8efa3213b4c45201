//! Metadata moved between the stores as a whole: every direction, cut off at every step.

use crate::common;
use crate::pg;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use common::{Homes, wait_for_copies, when_free};
use granary_metadata::conformance::random::everything;
use granary_metadata::conformance::sample::{bucket, bucket_id, commit, id, key, put_empty, version_id, w};
use granary_metadata::moving::{
    Backup, CopyOptions, CopyState, Digests, Entry, Export, FrameFile, FrameFileSink, Import, Page, Place,
    Source, Table, back_up, copy, digests,
};
use granary_metadata::postgres::{Consistency, PostgresCopy, PostgresStore};
use granary_metadata::sqlite::{Existing, SqliteImport, mark_moved};
use granary_metadata::{
    AclChange, BucketDocument, DriveRow, DriveState, EventPlace, IdentityChange, IdentityDocument,
    MetadataError, MetadataStore, NewEvent, Outcome, RestoreChange, Restored, Result, Tagging, WarmChange,
    WarmKind, WarmStep, Write,
};
use granary_types::{DriveClass, DriveId, UnixMillis, WriteId};

const STEPS: u64 = 400;
/// Few entries a step, so that there are many places to be cut off at.
const SMALL: CopyOptions = CopyOptions { rows: 1, rows_max: 2 };

/// An import that fails as if the process had died: before or after the step whose number it is given.
struct Dying<'i> {
    inner: &'i dyn Import,
    left: AtomicU64,
}

fn died() -> MetadataError {
    MetadataError::Corrupt { context: "died".to_owned() }
}

#[async_trait]
impl Export for Dying<'_> {
    async fn source(&self) -> Result<Source> {
        self.inner.source().await
    }
    async fn count(&self, table: Table) -> Result<u64> {
        self.inner.count(table).await
    }
    async fn page(&self, table: Table, after: Option<&Place>, limit: u32) -> Result<Page> {
        self.inner.page(table, after, limit).await
    }
}

#[async_trait]
impl Import for Dying<'_> {
    async fn state(&self) -> Result<Option<CopyState>> {
        self.inner.state().await
    }
    async fn begin(&self, state: &CopyState) -> Result<()> {
        self.inner.begin(state).await
    }
    async fn store(&self, entries: &[Entry], before: &CopyState, after: &CopyState) -> Result<()> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left == 1 {
            return Err(died());
        }
        self.inner.store(entries, before, after).await?;
        if left == 2 { Err(died()) } else { Ok(()) }
    }
    async fn finish(&self, before: &CopyState) -> Result<()> {
        self.inner.finish(before).await
    }
}

/// Copies, dying every few steps, until it is through. Returns how often it died.
async fn copy_dying(from: &dyn Export, to: &dyn Import) -> u64 {
    let mut deaths = 0;
    loop {
        let dying = Dying { inner: to, left: AtomicU64::new(3 + deaths % 5) };
        match copy(from, &dying, SMALL, |_| {}).await {
            Ok((report, state)) => {
                assert!(!report.was_complete);
                assert_eq!(report.digests.total(), state.stored);
                to.finish(&state).await.unwrap();
                return deaths;
            }
            Err(MetadataError::Corrupt { context }) if context == "died" => deaths += 1,
            Err(error) => panic!("{error:?}"),
        }
        assert!(deaths < 10_000, "it does not get on");
    }
}

async fn fill(store: &dyn MetadataStore, seed: u64) {
    for slot in 0..3_u8 {
        let id = DriveId::from_bytes([slot + 1; 16]);
        let class = if slot == 1 { DriveClass::Hdd } else { DriveClass::Ssd };
        let path = format!("/d{slot}");
        let row = DriveRow { id, slot: slot.into(), path, state: DriveState::Active, class };
        store.put_drive(row).await.unwrap();
    }
    everything(store, seed, STEPS).await;
    store.create_bucket(bucket(77)).await.unwrap();
    let (write, name) = (WriteId::from_bytes(id(9_999)), "cors".to_owned());
    let tagging = Tagging {
        bucket: bucket_id(77),
        key: key("tagged"),
        version: version_id(0),
        write,
        tags: vec![("k".to_owned(), "v".to_owned())],
    };
    let acl = AclChange {
        bucket: bucket_id(77),
        key: key("tagged"),
        version: version_id(0),
        write,
        acl: Some(b"<Grant/>".to_vec()),
    };
    let restore = RestoreChange {
        bucket: bucket_id(77),
        key: key("tagged"),
        version: version_id(0),
        write,
        restored: Some(Restored { requested: UnixMillis(5), expires: UnixMillis(6) }),
    };
    let warm = WarmChange {
        bucket: bucket_id(77),
        key: key("tagged"),
        version: version_id(0),
        write,
        step: WarmStep::Want { kind: WarmKind::WantedBulk, at: UnixMillis(7), days: 8 },
    };
    let put = w(put_empty(77, "tagged", 9_999));
    let beside = [
        Write::Tag(Box::new(tagging)),
        Write::Acl(Box::new(acl)),
        Write::Restore(Box::new(restore)),
        Write::Warm(Box::new(warm)),
    ];
    let outcomes = commit(store, std::iter::once(put).chain(beside).collect()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done { .. })), "{outcomes:?}");
    let document = Some(b"<CORSConfiguration/>".to_vec());
    assert!(
        store.put_bucket_document(BucketDocument { bucket: bucket_id(77), name, document }).await.unwrap()
    );
    let place = EventPlace { target: "t".to_owned(), bucket: bucket_id(77), at: UnixMillis(5), id: write };
    let event = NewEvent { place, event: b"told".to_vec() };
    commit(store, vec![Write::Event(Box::new(event))]).await;
    let identity = IdentityDocument { name: "user/1/a".to_owned(), document: Some(b"{}".to_vec()) };
    let expected = store.identity_generation().await.unwrap();
    assert!(store.change_identities(IdentityChange { expected, documents: vec![identity] }).await.unwrap());
}

async fn all(export: &dyn Export) -> Digests {
    digests(export, |_, _| {}).await.unwrap()
}

fn has_every_table(digests: &Digests) {
    for table in Table::ALL {
        assert!(digests.iter().any(|(found, ..)| found == table), "nothing in {}", table.name());
    }
}

async fn postgres_copy() -> (String, PostgresCopy) {
    let url = tokio::task::spawn_blocking(pg::fresh_database).await.unwrap();
    (url.clone(), PostgresCopy::new(pg::options(&url), Consistency::Quiet).unwrap())
}

fn homes(dir: &tempfile::TempDir) -> Homes {
    Homes::new(dir.path(), 3, 2)
}

fn import(homes: &Homes) -> Result<SqliteImport> {
    SqliteImport::open((0..homes.count).map(|n| homes.home(n)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_to_postgres_and_back_and_on_to_another_postgres() {
    let dir = tempfile::tempdir().unwrap();
    let store = homes(&dir).open(Existing::MayBeNew);
    fill(&*store, 11).await;
    let first = all(&*store).await;
    has_every_table(&first);

    let (url, up) = postgres_copy().await;
    assert!(copy_dying(&*store, &up).await > 10);
    // What was complete is not begun again.
    let (again, _) = copy(&*store, &up, SMALL, |_| {}).await.unwrap();
    assert!(again.was_complete);

    let moved = pg::open(&url).await;
    assert_eq!(moved.recount().await.unwrap(), [], "the accounting came along");
    moved.close().await.unwrap();

    let (_, other) = postgres_copy().await;
    let from = PostgresCopy::new(pg::options(&url), Consistency::Snapshot).unwrap();
    assert!(copy_dying(&from, &other).await > 10);
    assert_eq!(all(&other).await, first);

    let fresh = tempfile::tempdir().unwrap();
    let down = import(&homes(&fresh)).unwrap();
    let from = PostgresCopy::new(pg::options(&url), Consistency::Snapshot).unwrap();
    assert!(copy_dying(&from, &down).await > 10);
    drop(down);
    let back = homes(&fresh).open(Existing::Expected);
    assert_eq!(all(&*back).await, first);
    assert_eq!(back.recount().await.unwrap(), []);
    wait_for_copies(&back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_copy_is_not_opened_and_a_changed_source_is_copied_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = homes(&dir).open(Existing::MayBeNew);
    fill(&*store, 12).await;
    let (url, up) = postgres_copy().await;
    let dying = Dying { inner: &up, left: AtomicU64::new(12) };
    copy(&*store, &dying, SMALL, |_| {}).await.unwrap_err();
    let refused = PostgresStore::open(pg::options(&url)).await.err().unwrap();
    assert!(format!("{refused:?}").contains("unfinished copy"), "{refused:?}");
    // The source was served again meanwhile.
    let row = DriveRow {
        id: DriveId::from_bytes([9; 16]),
        slot: 9,
        path: String::new(),
        state: DriveState::Retired,
        class: DriveClass::Ssd,
    };
    store.put_drive(row).await.unwrap();
    let (report, state) = copy(&*store, &up, SMALL, |_| {}).await.unwrap();
    assert_eq!(report.resumed_at, 0);
    up.finish(&state).await.unwrap();
    assert_eq!(all(&up).await, all(&*store).await);
    pg::open(&url).await.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_holds_another_store_is_refused() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, two) = (homes(&dirs[0]).open(Existing::MayBeNew), homes(&dirs[1]).open(Existing::MayBeNew));
    fill(&*one, 13).await;
    fill(&*two, 14).await;
    let (_, target) = postgres_copy().await;
    let dying = Dying { inner: &target, left: AtomicU64::new(12) };
    copy(&*one, &dying, SMALL, |_| {}).await.unwrap_err();
    let unfinished = copy(&*two, &target, SMALL, |_| {}).await.unwrap_err();
    assert!(format!("{unfinished:?}").contains("another store"), "{unfinished:?}");
    let (_, state) = copy(&*one, &target, SMALL, |_| {}).await.unwrap();
    target.finish(&state).await.unwrap();
    let complete = copy(&*two, &target, SMALL, |_| {}).await.unwrap_err();
    assert!(format!("{complete:?}").contains("holds the metadata of a store"), "{complete:?}");
    assert_eq!(all(&target).await, all(&*one).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_metadata_is_not_opened_until_other_metadata_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let old = homes(&dir).open(Existing::MayBeNew);
    fill(&*old, 15).await;
    let (_, up) = postgres_copy().await;
    let (_, state) = copy(&*old, &up, CopyOptions::default(), |_| {}).await.unwrap();
    old.close().await.unwrap();
    drop(old);
    assert!(import(&homes(&dir)).is_err(), "metadata in use is not replaced");
    let marked: Vec<_> = (0..3).map(|n| homes(&dir).home(n)).collect();
    mark_moved(&marked, "postgres://h/granary").unwrap();
    up.finish(&state).await.unwrap();
    // Also with any two of the drives gone.
    std::fs::remove_dir_all(homes(&dir).dir(0)).unwrap();
    std::fs::remove_dir_all(homes(&dir).dir(2)).unwrap();
    let refused = when_free(|| homes(&dir).try_open(Existing::Expected)).err().unwrap();
    assert!(format!("{refused:?}").contains("moved to postgres://h/granary"), "{refused:?}");

    let down = when_free(|| import(&homes(&dir))).unwrap();
    copy_dying(&up, &down).await;
    drop(down);
    let back = homes(&dir).open(Existing::Expected);
    assert_eq!(all(&*back).await, all(&up).await);
    wait_for_copies(&back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_is_found_before_the_target_is_taken_into_use() {
    let dir = tempfile::tempdir().unwrap();
    let store = homes(&dir).open(Existing::MayBeNew);
    fill(&*store, 16).await;
    let (url, name) = tokio::task::spawn_blocking(pg::fresh_named_database).await.unwrap();
    let up = PostgresCopy::new(pg::options(&url), Consistency::Quiet).unwrap();
    let dying = Dying { inner: &up, left: AtomicU64::new(12) };
    copy(&*store, &dying, SMALL, |_| {}).await.unwrap_err();
    pg::shared().sql(&name, "DELETE FROM volumes WHERE id IN (SELECT id FROM volumes LIMIT 1)").unwrap();
    let refused = copy(&*store, &up, SMALL, |_| {}).await.unwrap_err();
    assert!(format!("{refused:?}").contains("first in volumes"), "{refused:?}");
    assert!(PostgresStore::open(pg::options(&url)).await.is_err());
}

fn open_backup(path: &std::path::Path) -> std::io::Result<Backup> {
    Ok(Backup::open(Arc::new(FrameFile::open(path)?)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_of_one_moment_and_is_restored_into_either_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = homes(&dir).open(Existing::MayBeNew);
    fill(&*store, 17).await;
    let frozen = store.freeze().await.unwrap();
    let before = all(&*store).await;
    // Nodes write on.
    for slot in 10..60 {
        let id = DriveId::from_bytes([slot; 16]);
        let (state, class) = (DriveState::Retired, DriveClass::Ssd);
        let row = DriveRow { id, slot: slot.into(), path: String::new(), state, class };
        store.put_drive(row).await.unwrap();
    }
    let path = dir.path().join("backup");
    let sink = Box::new(FrameFileSink::create(&path).unwrap());
    assert!(!path.exists(), "what is not whole has another name");
    let manifest = back_up(&frozen, sink, 5, |_| {}).await.unwrap();
    assert_eq!(manifest.digests, before);
    assert!(all(&*store).await != before);
    assert!(FrameFileSink::create(&path).is_err(), "a backup is not overwritten");

    let backup = open_backup(&path).unwrap();
    assert_eq!(all(&backup).await, before);
    let (url, up) = postgres_copy().await;
    copy_dying(&backup, &up).await;
    assert_eq!(all(&up).await, before);
    let restored = pg::open(&url).await;
    assert_eq!(restored.recount().await.unwrap(), []);
    // A database is backed up while it is open, and at one moment too.
    let snapshot = PostgresCopy::new(pg::options(&url), Consistency::Snapshot).unwrap();
    snapshot.source().await.unwrap();
    let row = DriveRow {
        id: DriveId::from_bytes([99; 16]),
        slot: 99,
        path: String::new(),
        state: DriveState::Retired,
        class: DriveClass::Ssd,
    };
    restored.put_drive(row).await.unwrap();
    let second = dir.path().join("second");
    let sink = Box::new(FrameFileSink::create(&second).unwrap());
    assert_eq!(back_up(&snapshot, sink, 6, |_| {}).await.unwrap().digests, before);
    restored.close().await.unwrap();

    let fresh = tempfile::tempdir().unwrap();
    let down = import(&homes(&fresh)).unwrap();
    copy_dying(&open_backup(&second).unwrap(), &down).await;
    drop(down);
    let back = homes(&fresh).open(Existing::Expected);
    assert_eq!(all(&*back).await, before);
    assert_eq!(back.recount().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = homes(&dir).open(Existing::MayBeNew);
    fill(&*store, 18).await;
    let path = dir.path().join("backup");
    let sink = Box::new(FrameFileSink::create(&path).unwrap());
    back_up(&*store, sink, 5, |_| {}).await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 64) {
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(FrameFile::open(&path).is_err(), "cut at {at}");
        if at < 8 {
            // The magic at the beginning is for people and `file`; the one at the end is checked.
            continue;
        }
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&path, &flipped).unwrap();
        let Ok(file) = FrameFile::open(&path) else { continue };
        let Ok(backup) = Backup::open(Arc::new(file)) else { continue };
        assert!(digests(&backup, |_, _| {}).await.is_err(), "flipped at {at}");
    }
}
