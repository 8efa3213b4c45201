//! Storing what another store knew, as it was there.

use super::events::store_event;
use super::objects::{REPLACE_CURRENT, REPLACE_VERSION, store};
use super::side::Beside;
use super::uploads::PartRecord;
use super::{Batch, StoredVolume};
use crate::model::{Bucket, BucketDocument, NewUpload, PartRow};
use crate::moving::{Entry, VersionEntry};
use crate::sqlite::codec::{ObjectColumns, encode, row_hash};
use crate::sqlite::failure::Failure;
use granary_types::{DriveClass, UploadId};

impl Batch<'_> {
    /// Stores one entry. The volumes' entries tell what lives in them; what buckets hold is added up here.
    pub(in crate::sqlite) fn import(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.used.put_entry(entry);
        match entry {
            Entry::Drive(drive) => self.put_drive(drive, DriveClass::Untold),
            Entry::ClassedDrive(drive, class) => self.put_drive(drive, *class),
            Entry::Volume(row, live_items) => {
                StoredVolume { row: row.clone(), live_items: *live_items }.store(self.connection)
            }
            Entry::Bucket(bucket) => self.import_bucket(bucket),
            Entry::Blob(id, extents) => self.store_extents(*id, extents),
            Entry::Reference(blob, referrer) => self.add_reference(*blob, referrer),
            Entry::Object(version) => self.import_version(version, REPLACE_CURRENT),
            Entry::Version(version) => self.import_version(version, REPLACE_VERSION),
            Entry::Upload(upload) => self.import_upload(upload),
            Entry::Part(_, upload, part) => self.import_part(*upload, part),
            Entry::Tags(bucket, key, write, tags) => self.store_tags(*bucket, key, *write, tags),
            Entry::Acl(bucket, key, write, acl) => {
                self.store_beside(Beside::Acl, (*bucket, key, *write), acl)
            }
            Entry::Restore(bucket, key, write, restored) => {
                self.store_beside(Beside::Restore, (*bucket, key, *write), restored)
            }
            Entry::Warm(bucket, key, write, warm) => self.store_warmth((*bucket, key, *write), warm),
            Entry::Document(document) => self.import_document(document),
            Entry::Identity(identity) => self.store_identity(identity),
            Entry::Event(event) => store_event(self.connection, event),
        }
    }

    fn import_document(&mut self, document: &BucketDocument) -> Result<(), Failure> {
        if self.put_document(document)? {
            return Ok(());
        }
        Err(Failure::Corrupt(format!("a configuration belongs to no bucket: {}", document.bucket)))
    }

    fn import_bucket(&self, bucket: &Bucket) -> Result<(), Failure> {
        let name = bucket.name.as_str().as_bytes();
        let record = encode(bucket)?;
        let hash = row_hash("buckets", &[name], &record);
        self.connection
            .prepare_cached("INSERT INTO buckets (name, id, record, row_hash) VALUES (?1, ?2, ?3, ?4)")?
            .execute((name, bucket.id.as_bytes(), record, hash))?;
        Ok(())
    }

    fn import_version(&self, version: &VersionEntry, statement: &str) -> Result<(), Failure> {
        let stored = version.stored()?;
        let orders = (stored.row.order, stored.top_order);
        let columns =
            ObjectColumns::new(version.bucket, &version.key, &stored.row.object, orders, stored.row.lock)?;
        store(self.connection, statement, version.bucket, &version.key, &columns)
    }

    fn import_upload(&self, upload: &NewUpload) -> Result<(), Failure> {
        let record = encode(upload)?;
        let hash = row_hash("uploads", &[upload.upload.as_bytes()], &record);
        self.connection
            .prepare_cached(
                "INSERT INTO uploads (bucket_id, key, initiated_ms, upload_id, row_hash, record) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                upload.bucket.as_bytes(),
                upload.key.as_bytes(),
                upload.initiated.0,
                upload.upload.as_bytes(),
                hash,
                record,
            ))?;
        Ok(())
    }

    fn import_part(&self, upload: UploadId, part: &PartRow) -> Result<(), Failure> {
        let record = encode(&PartRecord::of(part))?;
        let number = part.number.get();
        let hash = row_hash("parts", &[upload.as_bytes(), &number.to_be_bytes()], &record);
        self.connection
            .prepare_cached(
                "INSERT INTO parts (upload_id, number, row_hash, record) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((upload.as_bytes(), number, hash, record))?;
        Ok(())
    }
}
