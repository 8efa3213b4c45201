//! Object lock: what it withholds, in every write that deletes or replaces.

use granary_types::{UnixMillis, WriteId};

use super::Harness;
use super::sample::{
    bucket, bucket_id, commit, complete, delete, done, id, key, name, one, put_empty, put_part, upload,
    version_id, volume, w,
};
use super::versioning::remove;
use crate::model::{
    BucketChange, BucketLock, Bypass, DefaultRetention, EraseObject, EraseTerms, Expected, ExpireObject,
    LegalHold, LockChange, LockMode, Locking, ObjectLock, Outcome, Retention, RetentionPeriod, Standing,
    Write,
};
use crate::store::MetadataStore;

const NOW: UnixMillis = UnixMillis(1_000_000);
const LATER: UnixMillis = UnixMillis(2_000_000);

fn retention(mode: LockMode, until: UnixMillis) -> Option<Retention> {
    Some(Retention { mode, until })
}

/// A put of key `a` as that version, by write `tag`.
fn put(version: u64, tag: u64) -> Write {
    let mut put = put_empty(1, "a", tag);
    put.object.version = version_id(version);
    put.object.modified = NOW;
    w(put)
}

fn lock(version: u64, tag: u64, change: LockChange) -> Write {
    Write::Lock(Box::new(Locking {
        bucket: bucket_id(1),
        key: key("a"),
        version: version_id(version),
        write: WriteId::from_bytes(id(tag)),
        change,
    }))
}

fn erase_with(version: u64, terms: EraseTerms) -> Write {
    let mut delete = delete(1, "a");
    delete.version = version_id(version);
    Write::Erase(Box::new(EraseObject { delete, terms }))
}

fn erase(version: u64, at: UnixMillis, bypass: Bypass) -> Write {
    erase_with(version, EraseTerms { at, bypass, expected: None })
}

async fn locked_bucket(store: &dyn MetadataStore, default: Option<DefaultRetention>) {
    store.create_bucket(bucket(1)).await.unwrap();
    for change in [BucketChange::EnableVersioning, BucketChange::SetLock(BucketLock { default })] {
        store.change_bucket(&name("bucket-1"), change).await.unwrap();
    }
}

async fn lock_of(store: &dyn MetadataStore, version: Option<u64>) -> Option<ObjectLock> {
    let row = store.object(bucket_id(1), &key("a"), version.map(version_id)).await.unwrap();
    row.map(|row| row.lock)
}

/// Versions are kept until their retention ends, whether they are current or not; markers hide them all the same.
pub async fn retained_versions_stay(store: &dyn MetadataStore) {
    locked_bucket(store, None).await;
    let initial = |mode| {
        LockChange::Initial(ObjectLock { retention: retention(mode, LATER), legal_hold: LegalHold::Unset })
    };
    commit(store, vec![put(1, 1), lock(1, 1, initial(LockMode::Governance))]).await;
    commit(store, vec![put(2, 2), lock(2, 2, initial(LockMode::Compliance))]).await;
    assert_eq!(lock_of(store, Some(1)).await.unwrap().retention, retention(LockMode::Governance, LATER));
    assert_eq!(lock_of(store, None).await.unwrap().retention, retention(LockMode::Compliance, LATER));
    for version in [1, 2] {
        assert_eq!(one(store, erase(version, NOW, Bypass::Nothing)).await, Outcome::Locked);
        let mut plain = delete(1, "a");
        plain.version = version_id(version);
        assert_eq!(one(store, Write::Delete(plain)).await, Outcome::Locked);
    }
    assert_eq!(one(store, erase(2, NOW, Bypass::Governance)).await, Outcome::Locked);
    assert!(matches!(one(store, remove(1, "a", 3)).await, Outcome::Marked { .. }));
    assert!(matches!(one(store, erase(3, NOW, Bypass::Nothing)).await, Outcome::Done { .. }));
    done(store, erase(1, NOW, Bypass::Governance)).await;
    done(store, erase(2, LATER, Bypass::Nothing)).await;
    assert_eq!(lock_of(store, None).await, None);
}

/// A legal hold keeps a version whatever its retention says, and nothing but its end lets it go.
pub async fn legal_holds_stay_until_they_are_taken_away(store: &dyn MetadataStore) {
    locked_bucket(store, None).await;
    done(store, put(1, 1)).await;
    done(store, put(2, 2)).await;
    for version in [1, 2] {
        done(store, lock(version, version, LockChange::LegalHold(LegalHold::On))).await;
        assert_eq!(one(store, erase(version, LATER, Bypass::Governance)).await, Outcome::Locked);
        // Another write's version is another version.
        assert_eq!(
            one(store, lock(version, 9, LockChange::LegalHold(LegalHold::Off))).await,
            Outcome::NoSuchKey
        );
    }
    for version in [2, 1] {
        done(store, lock(version, version, LockChange::LegalHold(LegalHold::Off))).await;
        assert_eq!(lock_of(store, Some(version)).await.unwrap().legal_hold, LegalHold::Off);
        done(store, erase(version, NOW, Bypass::Nothing)).await;
    }
}

/// The bucket's default counts at the put, in the commit, unless the put says otherwise; a marker gets none.
pub async fn versions_get_the_default_of_their_bucket(store: &dyn MetadataStore) {
    let default = DefaultRetention { mode: LockMode::Compliance, period: RetentionPeriod::Days(2) };
    locked_bucket(store, Some(default)).await;
    let until = UnixMillis(NOW.0 + 2 * 86_400_000);
    done(store, put(1, 1)).await;
    assert_eq!(lock_of(store, None).await.unwrap().retention, retention(LockMode::Compliance, until));
    let own = ObjectLock { retention: retention(LockMode::Governance, LATER), legal_hold: LegalHold::On };
    commit(store, vec![put(2, 2), lock(2, 2, LockChange::Initial(own))]).await;
    assert_eq!(lock_of(store, None).await, Some(own));
    let hold = ObjectLock { retention: None, legal_hold: LegalHold::On };
    commit(store, vec![put(3, 3), lock(3, 3, LockChange::Initial(hold))]).await;
    let both = ObjectLock { retention: retention(LockMode::Compliance, until), ..hold };
    assert_eq!(lock_of(store, None).await, Some(both));
    one(store, remove(1, "a", 4)).await;
    assert_eq!(lock_of(store, None).await, Some(ObjectLock::default()));
    // An upload's object is a put like any other.
    store.open_volume(volume(1)).await.unwrap();
    done(store, Write::CreateUpload(Box::new(upload(1, "a", 5, 1)))).await;
    done(store, Write::PutPart(Box::new(put_part(1, "a", 5, 1, (51, 1, 10))))).await;
    let mut completion = complete(1, "a", 5, 50, &[(1, 51, 10)]);
    completion.object.version = version_id(5);
    completion.object.modified = NOW;
    done(store, Write::CompleteUpload(Box::new(completion))).await;
    assert_eq!(lock_of(store, None).await.unwrap().retention, retention(LockMode::Compliance, until));
}

/// What the request may not change stays as it was, and its outcome says so.
pub async fn retentions_are_weakened_only_by_who_may(store: &dyn MetadataStore) {
    locked_bucket(store, None).await;
    done(store, put(1, 1)).await;
    let to = |retention, bypass| lock(1, 1, LockChange::Retention { retention, at: NOW, bypass });
    let governance = retention(LockMode::Governance, LATER);
    done(store, to(governance, Bypass::Nothing)).await;
    assert_eq!(one(store, to(None, Bypass::Nothing)).await, Outcome::Locked);
    assert_eq!(lock_of(store, None).await.unwrap().retention, governance);
    let compliance = retention(LockMode::Compliance, LATER);
    done(store, to(compliance, Bypass::Governance)).await;
    assert_eq!(one(store, to(governance, Bypass::Governance)).await, Outcome::Locked);
    assert_eq!(lock_of(store, None).await.unwrap().retention, compliance);
}

/// A null version of the time before versioning that is locked is not replaced.
pub async fn a_locked_null_version_is_not_replaced(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    done(store, put(0, 1)).await;
    for change in [BucketChange::EnableVersioning, BucketChange::SetLock(BucketLock::default())] {
        store.change_bucket(&name("bucket-1"), change).await.unwrap();
    }
    done(store, lock(0, 1, LockChange::LegalHold(LegalHold::On))).await;
    assert!(store.change_bucket(&name("bucket-1"), BucketChange::SuspendVersioning).await.is_err());
    // Neither as the current version nor as an older one. No writer puts one; were one to, it would be refused.
    for _ in 0..2 {
        assert!(matches!(one(store, put(0, 3)).await, Outcome::VersioningChanged | Outcome::Locked));
        assert_eq!(one(store, erase(0, LATER, Bypass::Governance)).await, Outcome::Locked);
        done(store, put(2, 2)).await;
    }
    assert!(lock_of(store, Some(0)).await.is_some());
}

/// What lifecycle deletes is what it looked at, or nothing.
pub async fn expected_versions_go_and_others_stay(store: &dyn MetadataStore) {
    locked_bucket(store, None).await;
    let expected = |version, tag, standing| {
        let expected = Some(Expected { write: WriteId::from_bytes(id(tag)), standing });
        erase_with(version, EraseTerms { at: NOW, bypass: Bypass::Nothing, expected })
    };
    let expire = |tag, marker| {
        let Write::Remove(remove) = remove(1, "a", marker) else { unreachable!("a removal") };
        Write::Expire(Box::new(ExpireObject { expected: WriteId::from_bytes(id(tag)), remove: *remove }))
    };
    assert_eq!(one(store, expire(1, 90)).await, Outcome::Moved);
    done(store, put(1, 1)).await;
    assert_eq!(one(store, expected(1, 1, Standing::Noncurrent)).await, Outcome::Moved);
    assert_eq!(one(store, expire(2, 90)).await, Outcome::Moved);
    assert!(matches!(one(store, expire(1, 90)).await, Outcome::Marked { .. }));
    // The marker is not alone yet.
    assert_eq!(one(store, expected(90, 90, Standing::Sole)).await, Outcome::Moved);
    assert_eq!(one(store, expected(1, 2, Standing::Noncurrent)).await, Outcome::Moved);
    done(store, lock(1, 1, LockChange::LegalHold(LegalHold::On))).await;
    assert_eq!(one(store, expected(1, 1, Standing::Noncurrent)).await, Outcome::Locked);
    done(store, lock(1, 1, LockChange::LegalHold(LegalHold::Off))).await;
    done(store, expected(1, 1, Standing::Noncurrent)).await;
    done(store, expected(90, 90, Standing::Sole)).await;
    assert_eq!(lock_of(store, None).await, None);
}

/// Locks are what they were after a restart.
pub async fn survive_a_restart(harness: &mut dyn Harness) {
    let own = ObjectLock { retention: retention(LockMode::Compliance, LATER), legal_hold: LegalHold::On };
    {
        let store = harness.store();
        locked_bucket(&*store, None).await;
        commit(&*store, vec![put(1, 1), lock(1, 1, LockChange::Initial(own))]).await;
        done(&*store, put(2, 2)).await;
    }
    harness.restart().await;
    let store = harness.store();
    assert_eq!(lock_of(&*store, Some(1)).await, Some(own));
    assert_eq!(one(&*store, erase(1, LATER, Bypass::Governance)).await, Outcome::Locked);
}
