//! Multipart uploads.

use std::collections::HashMap;

use granary_types::{BucketId, ObjectKey, PartNumber, UploadId};

use super::{Batch, PartState, UploadState};
use crate::model::{CompleteUpload, NewUpload, Outcome, PartRow, PutPart, ReferPart, fits};
use crate::sqlite::apply::blobs::{object_referrer, part_referrer};
use crate::sqlite::apply::commit::refused;
use crate::sqlite::apply::objects::next_order;
use crate::sqlite::apply::uploads::{PartRecord, unfit_part};
use crate::sqlite::codec::encode;

const DONE: Outcome = Outcome::Done { replaced: None, order: 0 };

impl Batch {
    fn upload_exists(&self, bucket: BucketId, key: &ObjectKey, upload: UploadId) -> bool {
        let row = self.uploads.get(&(bucket, upload)).and_then(|state| state.row.as_ref());
        row.is_some_and(|row| row.key == *key)
    }

    fn parts_of_upload(&self, bucket: BucketId, upload: UploadId) -> HashMap<PartNumber, PartRow> {
        let rows = self.parts.range((bucket, upload, 0)..=(bucket, upload, u16::MAX));
        rows.filter_map(|(_, state)| state.row.clone()).map(|part| (part.number, part)).collect()
    }

    pub(super) fn create_upload(&mut self, new: &NewUpload) -> Outcome {
        let state =
            self.uploads.entry((new.bucket, new.upload)).or_insert(UploadState { found: false, row: None });
        if state.row.is_none() {
            state.row = Some(new.clone());
        }
        DONE
    }

    pub(super) fn put_part(&mut self, part: &PutPart) -> Outcome {
        if !self.upload_exists(part.bucket, &part.key, part.upload) {
            return Outcome::NoSuchUpload;
        }
        self.add_blob(&part.blob);
        self.store_part(part.bucket, part.upload, part.row())
    }

    pub(super) fn refer_part(&mut self, refer: &ReferPart) -> Outcome {
        if !self.upload_exists(refer.bucket, &refer.key, refer.upload) {
            return Outcome::NoSuchUpload;
        }
        if !self.blob_exists(refer.part.blob) {
            return Outcome::Moved;
        }
        self.store_part(refer.bucket, refer.upload, refer.part.clone())
    }

    /// Stores a part whose blob is there, in place of the one of its number.
    fn store_part(&mut self, bucket: BucketId, upload: UploadId, part: PartRow) -> Outcome {
        let referrer = part_referrer(upload, part.number);
        let (blob, length_bytes) = (part.blob, part.length_bytes);
        self.add_reference(blob, referrer);
        let record = encode(&PartRecord::of(&part)).unwrap_or_default();
        let place = (bucket, upload, part.number.get());
        let old = self.parts.insert(place, PartState { changed: true, row: Some(part), record });
        self.used.part_put(bucket, length_bytes);
        if let Some(old) = old.as_ref().and_then(|old| old.row.as_ref()) {
            self.used.part_gone(bucket, old.length_bytes);
        }
        // The same part written again by the same request still refers to the same blob.
        if let Some(old) = old.and_then(|old| old.row).filter(|old| old.blob != blob) {
            self.drop_reference(old.blob, referrer);
        }
        DONE
    }

    pub(super) fn complete_upload(&mut self, complete: &CompleteUpload) -> Outcome {
        let (bucket, key, upload) = (complete.bucket, &complete.key, complete.upload);
        if !self.upload_exists(bucket, key, upload) {
            return Outcome::NoSuchUpload;
        }
        if !fits(self.settings(bucket), complete.object.version) {
            return Outcome::VersioningChanged;
        }
        let mut stored = self.parts_of_upload(bucket, upload);
        if let Some(number) = unfit_part(complete, &stored) {
            return Outcome::InvalidPart(number);
        }
        let state = self.keys.entry((bucket, key.clone())).or_default();
        if let Some(outcome) = refused(&complete.conditions, state.current_row()) {
            return outcome;
        }
        if state.replaces_locked(&complete.object) {
            return Outcome::Locked;
        }
        let order = next_order(state.current.as_ref());
        for part in stored.values() {
            self.used.part_gone(bucket, part.length_bytes);
        }
        for (index, (number, _)) in (0_u32..).zip(&complete.parts) {
            if let Some(part) = stored.remove(number) {
                let to = object_referrer(bucket, key, order, index);
                self.move_reference(part.blob, part_referrer(upload, *number), to);
            }
        }
        self.forget_upload(bucket, upload, stored);
        self.place(bucket, key, &complete.object, order)
    }

    pub(super) fn abort_upload(&mut self, bucket: BucketId, key: &ObjectKey, upload: UploadId) -> Outcome {
        if !self.upload_exists(bucket, key, upload) {
            return Outcome::NoSuchUpload;
        }
        let parts = self.parts_of_upload(bucket, upload);
        for part in parts.values() {
            self.used.part_gone(bucket, part.length_bytes);
        }
        self.forget_upload(bucket, upload, parts);
        DONE
    }

    /// Removes the upload and all its part rows; `dropped` are the parts whose blobs nothing took over.
    fn forget_upload(&mut self, bucket: BucketId, upload: UploadId, dropped: HashMap<PartNumber, PartRow>) {
        for (number, part) in dropped {
            self.drop_reference(part.blob, part_referrer(upload, number));
        }
        let all = (bucket, upload, 0)..=(bucket, upload, u16::MAX);
        for (_, state) in self.parts.range_mut(all) {
            state.row = None;
        }
        if let Some(state) = self.uploads.get_mut(&(bucket, upload)) {
            state.row = None;
        }
    }
}
