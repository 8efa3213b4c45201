//! What buckets hold: one row for each bucket, written once for all operations of a transaction.

use granary_types::{BucketId, UploadId};

use super::Batch;
use crate::model::UsageDeltas;
use crate::sqlite::codec::{blob, id_bytes};
use crate::sqlite::failure::Failure;

const ADD: &str = "INSERT INTO bucket_usage (bucket_id, bytes, objects) VALUES (?1, ?2, ?3) \
     ON CONFLICT (bucket_id) DO UPDATE SET bytes = bytes + excluded.bytes, objects = objects + excluded.objects";

impl Batch<'_> {
    /// Writes what the operations so far changed.
    pub(super) fn flush_usage(&mut self) -> Result<(), Failure> {
        let used = std::mem::take(&mut self.used);
        self.add_usage(&used)
    }

    fn add_usage(&self, used: &UsageDeltas) -> Result<(), Failure> {
        for (bucket, delta) in used.iter() {
            self.connection.prepare_cached(ADD)?.execute((bucket.as_bytes(), delta.bytes, delta.objects))?;
        }
        Ok(())
    }

    /// The usage of a bucket goes with it.
    pub(super) fn drop_usage(&mut self, bucket: BucketId) -> Result<(), Failure> {
        self.used.forget(bucket);
        self.connection
            .prepare_cached("DELETE FROM bucket_usage WHERE bucket_id = ?1")?
            .execute([bucket.as_bytes()])?;
        Ok(())
    }

    /// Makes the usage of all buckets what was counted of their versions, and is counted here of their parts.
    pub(super) fn replace_usage(&mut self, mut counted: UsageDeltas) -> Result<(), Failure> {
        self.used = UsageDeltas::default();
        let mut statement = self.connection.prepare(
            "SELECT p.number, p.row_hash, p.record, p.upload_id, u.bucket_id FROM parts p \
             JOIN uploads u ON u.upload_id = p.upload_id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let part = super::read_part(UploadId::from_bytes(id_bytes(blob(row, 3)?)?), row)?;
            counted.part_put(BucketId::from_bytes(id_bytes(blob(row, 4)?)?), part.length_bytes);
        }
        self.connection.prepare_cached("DELETE FROM bucket_usage")?.execute([])?;
        self.add_usage(&counted)
    }
}
