//! Versions as arrays, one for each column.

use granary_types::{BucketId, ObjectKey};

use super::super::connect::Statement;
use super::super::failure::Failure;
use crate::sqlite::codec::{ObjectColumns, RowHash, StoredObject, class_code, version_kind_code};

/// The columns of versions, each a list of the same length.
#[derive(Default)]
pub(in crate::postgres) struct Versions<'b> {
    buckets: Vec<[u8; 16]>,
    keys: Vec<&'b [u8]>,
    kinds: Vec<i16>,
    lengths: Vec<i64>,
    modified: Vec<i64>,
    etags: Vec<&'b str>,
    classes: Vec<i16>,
    algorithms: Vec<Option<i16>>,
    checksum_kinds: Vec<Option<i16>>,
    versions: Vec<[u8; 16]>,
    orders: Vec<i64>,
    top_orders: Vec<i64>,
    writes: Vec<[u8; 16]>,
    lock_modes: Vec<Option<i16>>,
    lock_untils: Vec<Option<i64>>,
    legal_holds: Vec<i16>,
    hashes: Vec<RowHash>,
    records: Vec<Vec<u8>>,
}

fn small(code: i64) -> Result<i16, Failure> {
    i16::try_from(code).map_err(|_| Failure::Corrupt(format!("a code of {code} fits no column")))
}

impl<'b> Versions<'b> {
    pub(in crate::postgres) fn len(&self) -> u64 {
        u64::try_from(self.keys.len()).unwrap_or(u64::MAX)
    }

    pub(in crate::postgres) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(in crate::postgres) fn push(
        &mut self,
        bucket: BucketId,
        key: &'b ObjectKey,
        stored: &'b StoredObject,
    ) -> Result<(), Failure> {
        let object = &stored.row.object;
        let orders = (stored.row.order, stored.top_order);
        let columns = ObjectColumns::new(bucket, key, object, orders, stored.row.lock)?;
        self.buckets.push(*bucket.as_bytes());
        self.keys.push(key.as_bytes());
        self.kinds.push(small(version_kind_code(object.kind))?);
        self.lengths.push(object.length_bytes.cast_signed());
        self.modified.push(object.modified.0);
        self.etags.push(object.etag.as_str());
        self.classes.push(small(class_code(object.storage_class))?);
        self.algorithms.push(columns.algorithm().map(small).transpose()?);
        self.checksum_kinds.push(columns.kind().map(small).transpose()?);
        self.versions.push(*object.version.as_bytes());
        self.orders.push(orders.0.cast_signed());
        self.top_orders.push(orders.1.cast_signed());
        self.writes.push(*object.write.as_bytes());
        self.lock_modes.push(columns.lock.mode.map(small).transpose()?);
        self.lock_untils.push(columns.lock.until_ms);
        self.legal_holds.push(small(columns.lock.legal_hold)?);
        self.hashes.push(columns.hash);
        self.records.push(columns.record);
        Ok(())
    }

    /// A statement with the lists as its first 18 arguments.
    pub(in crate::postgres) fn bind(self, sql: &'static str) -> Statement<'static> {
        // Arguments are encoded at once, so the borrowed text need not outlive this call.
        sqlx::query(sql)
            .bind(self.buckets)
            .bind(self.keys)
            .bind(self.kinds)
            .bind(self.lengths)
            .bind(self.modified)
            .bind(self.etags)
            .bind(self.classes)
            .bind(self.algorithms)
            .bind(self.checksum_kinds)
            .bind(self.versions)
            .bind(self.orders)
            .bind(self.top_orders)
            .bind(self.writes)
            .bind(self.lock_modes)
            .bind(self.lock_untils)
            .bind(self.legal_holds)
            .bind(self.hashes)
            .bind(self.records)
    }
}
