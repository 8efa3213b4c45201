//! What is told from memory, and when it is not.

use std::sync::Arc;

use granary_types::{ObjectKey, VersionId};

use super::{Found, HotRows, Op};
use crate::conformance::sample::{bucket_id, key, object, put_empty};
use crate::model::{Commit, Content, DeleteObject, ObjectLock, ObjectRow, Write, WriteConditions};

fn row(tag: u64) -> ObjectRow {
    ObjectRow {
        order: tag,
        object: object(tag, Content::Empty, 0),
        tag_count: 0,
        lock: ObjectLock::default(),
    }
}

fn rows() -> HotRows {
    let rows = HotRows::new(1 << 20);
    rows.open();
    rows
}

fn told(rows: &HotRows, key: &ObjectKey) -> Option<u64> {
    match rows.find(bucket_id(1), key) {
        Found::Row(row) => Some(row.order),
        Found::Nothing(_) => None,
    }
}

/// Reads a row from the database, during which `meanwhile` happens.
fn read_during(rows: &HotRows, key: &ObjectKey, tag: u64, meanwhile: impl FnOnce()) {
    let Found::Nothing(as_of) = rows.find(bucket_id(1), key) else { return };
    meanwhile();
    if let Some(as_of) = as_of {
        rows.keep(bucket_id(1), key, as_of, &row(tag));
    }
}

fn put(k: &str) -> Op {
    Op::Commit(Commit { advances: Vec::new(), writes: vec![Write::Put(Box::new(put_empty(1, k, 9)))] })
}

fn commit(rows: &HotRows, ops: &[&Op]) {
    drop(rows.changed_by(ops).close());
}

#[test]
fn a_row_is_told_until_its_key_changes() {
    let (rows, a, b) = (rows(), key("a"), key("b"));
    read_during(&rows, &a, 1, || {});
    read_during(&rows, &b, 2, || {});
    assert_eq!((told(&rows, &a), told(&rows, &b)), (Some(1), Some(2)));
    commit(&rows, &[&put("a"), &put("a"), &put("c")]);
    assert_eq!((told(&rows, &a), told(&rows, &b)), (None, Some(2)));
    read_during(&rows, &a, 3, || {});
    assert_eq!(told(&rows, &a), Some(3));
    let version = VersionId::NULL;
    let gone = DeleteObject {
        bucket: bucket_id(1),
        key: a.clone(),
        version,
        conditions: WriteConditions::default(),
    };
    let gone = Op::Commit(Commit { advances: Vec::new(), writes: vec![Write::Delete(gone)] });
    commit(&rows, &[&gone]);
    assert_eq!(told(&rows, &a), None);
}

#[test]
fn what_was_read_while_its_key_changed_is_not_kept() {
    let (rows, a, op) = (rows(), key("a"), put("a"));
    read_during(&rows, &a, 1, || commit(&rows, &[&op]));
    assert_eq!(told(&rows, &a), None, "a whole commit lay between");
    let committing = rows.changed_by(&[&op]).close();
    read_during(&rows, &a, 2, || {});
    assert_eq!(told(&rows, &a), None, "it began and ended in a commit");
    read_during(&rows, &a, 3, || drop(committing));
    assert_eq!(told(&rows, &a), None, "it began in a commit");
    read_during(&rows, &a, 4, || std::mem::forget(rows.changed_by(&[&op]).close()));
    assert_eq!(told(&rows, &a), None, "it ended in a commit");
}

#[test]
fn nothing_is_told_of_a_database_that_is_not_served_any_more() {
    let (rows, a) = (rows(), key("a"));
    read_during(&rows, &a, 1, || {});
    rows.close();
    assert_eq!(told(&rows, &a), None);
    read_during(&rows, &a, 2, || rows.open());
    assert_eq!(told(&rows, &a), None, "it was read before");
    read_during(&rows, &a, 3, || rows.open());
    assert_eq!(told(&rows, &a), None, "another one is served since");
    read_during(&rows, &a, 4, || {});
    assert_eq!(told(&rows, &a), Some(4));
}

#[test]
fn memory_is_bounded_and_long_rows_are_left_out() {
    let rows = rows();
    for n in 0..10_000 {
        read_during(&rows, &key(&format!("key-{n}")), n, || {});
    }
    assert!(rows.rows.weight() <= 1 << 20, "{} bytes", rows.rows.weight());
    assert!(rows.rows.len() > 500, "{} rows", rows.rows.len());
    let (long, mut long_row) = (key("long"), row(1));
    long_row.object.attributes.user = vec![("a".to_owned(), "b".repeat(20_000))];
    let Found::Nothing(Some(as_of)) = rows.find(bucket_id(1), &long) else { panic!("it was never read") };
    rows.keep(bucket_id(1), &long, as_of, &long_row);
    assert_eq!(told(&rows, &long), None);
}

/// One thread changes a key again and again, others read it from a "database" and from memory: nobody is told less than was
/// told before, or than what was committed before he asked.
#[test]
fn nobody_is_told_what_is_older_than_what_was_told() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let (rows, database, told) = (Arc::new(rows()), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let op = put("a");
            for tag in 1..=20_000 {
                let committing = rows.changed_by(&[&op]).close();
                database.store(tag, Ordering::SeqCst);
                drop(committing);
                told.fetch_max(tag, Ordering::SeqCst);
                if tag % 64 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let (a, mut from_memory) = (key("a"), 0);
                while told.load(Ordering::SeqCst) < 20_000 || from_memory == 0 {
                    let least = told.load(Ordering::SeqCst);
                    let tag = match rows.find(bucket_id(1), &a) {
                        Found::Row(row) => {
                            from_memory += 1;
                            row.order
                        }
                        Found::Nothing(as_of) => {
                            let tag = database.load(Ordering::SeqCst);
                            if let Some(as_of) = as_of {
                                rows.keep(bucket_id(1), &a, as_of, &row(tag));
                            }
                            tag
                        }
                    };
                    told.fetch_max(tag, Ordering::SeqCst);
                    assert!(tag >= least, "{tag} was told after {least}");
                }
            });
        }
    });
}
