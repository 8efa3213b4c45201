//! One file of an inventory: a listing as compressed lines, made while it is stored.

use std::io::Write as _;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use granary_engine::{
    Digests, Engine, ListVersionsOptions, ListedVersion, PutSource, SourceError, VersionEntry, VersionKind,
    VersionMarker,
};
use granary_types::{BucketName, Etag};
use md5::{Digest as _, Md5};

use super::config::{Field, Inventory, Versions};
use crate::checksum::names;
use crate::dates::iso_date;
use crate::encoding::url_encode;
use crate::ops::version;

/// Versions that are asked for at once.
const PAGE: u32 = 1_000;
/// Lines of a file.
const LINES_MAX: u64 = 1_000_000;

/// Where the next file begins.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    after: Option<String>,
    order: Option<u64>,
}

/// A file that is being listed.
pub(super) struct File<'i> {
    engine: &'i Engine,
    inventory: &'i Inventory,
    bucket: &'i BucketName,
    place: Place,
    lines: u64,
    encoder: Option<GzEncoder<Vec<u8>>>,
    md5: Md5,
    length_bytes: u64,
    /// Whether the bucket has no more.
    is_last: bool,
}

/// A file that was stored.
pub(super) struct Listed {
    pub(super) length_bytes: u64,
    pub(super) md5: String,
    /// Where the next one begins, if there is more.
    pub(super) next: Option<Place>,
    pub(super) lines: u64,
}

impl<'i> File<'i> {
    /// The file that begins there.
    pub(super) fn new(
        engine: &'i Engine,
        inventory: &'i Inventory,
        bucket: &'i BucketName,
        place: Place,
    ) -> Self {
        Self {
            engine,
            inventory,
            bucket,
            place,
            lines: 0,
            encoder: Some(GzEncoder::new(Vec::new(), Compression::default())),
            md5: Md5::new(),
            length_bytes: 0,
            is_last: false,
        }
    }

    /// What was stored.
    pub(super) fn listed(self) -> Listed {
        Listed {
            length_bytes: self.length_bytes,
            md5: hex::encode(self.md5.finalize()),
            next: (!self.is_last).then_some(self.place),
            lines: self.lines,
        }
    }

    /// Lists a page into the encoder. `false` at the end of the file.
    async fn page(&mut self) -> Result<bool, SourceError> {
        let options = ListVersionsOptions {
            prefix: self.inventory.filter.clone(),
            delimiter: None,
            after: self.place.after.clone(),
            after_version: self.place.order.map(VersionMarker::Order),
            limit: PAGE,
        };
        let page = self.engine.list_versions(self.bucket, options).await?;
        for entry in page.entries {
            let VersionEntry::Version(version) = entry else { continue };
            self.place = Place { after: Some(version.key().to_string()), order: Some(version.order) };
            let is_listed = match self.inventory.versions {
                Versions::All => true,
                Versions::Current => version.is_latest && version.kind == VersionKind::Object,
            };
            if is_listed {
                let line = line(self.inventory, self.bucket, &version);
                if let Some(encoder) = &mut self.encoder {
                    encoder.write_all(line.as_bytes())?;
                }
                self.lines = self.lines.saturating_add(1);
            }
        }
        self.is_last = !page.more;
        Ok(page.more && self.lines < LINES_MAX)
    }
}

#[async_trait]
impl PutSource for File<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            if self.encoder.is_none() {
                return Ok(None);
            }
            let more = self.page().await?;
            let ready = match (&mut self.encoder, more) {
                (Some(encoder), true) => std::mem::take(encoder.get_mut()),
                (encoder, _) => match encoder.take() {
                    Some(encoder) => encoder.finish()?,
                    None => Vec::new(),
                },
            };
            if !ready.is_empty() {
                self.md5.update(&ready);
                self.length_bytes = self.length_bytes.saturating_add(ready.len() as u64);
                return Ok(Some(Bytes::from(ready)));
            }
        }
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        Ok(Digests { etag: Etag::new(hex::encode(self.md5.clone().finalize())), checksum: None })
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        None
    }
}

fn line(inventory: &Inventory, bucket: &BucketName, listed: &ListedVersion) -> String {
    let mut columns = vec![bucket.to_string(), url_encode(listed.key().as_str()).into_owned()];
    let is_marker = listed.kind == VersionKind::DeleteMarker;
    if inventory.versions == Versions::All {
        // The null version has no id here.
        let id = if listed.version.is_null() { String::new() } else { version::shown(listed.version) };
        columns.extend([id, listed.is_latest.to_string(), is_marker.to_string()]);
    }
    columns.extend(inventory.fields.iter().map(|field| match field {
        Field::LastModifiedDate => iso_date(listed.object.modified),
        _ if is_marker => String::new(),
        other => of_object(*other, listed),
    }));
    let quoted: Vec<String> =
        columns.iter().map(|column| format!("\"{}\"", column.replace('"', "\"\""))).collect();
    format!("{}\n", quoted.join(","))
}

fn of_object(field: Field, listed: &ListedVersion) -> String {
    let object = &listed.object;
    match field {
        Field::Size => object.length_bytes.to_string(),
        Field::LastModifiedDate => iso_date(object.modified),
        Field::ETag => object.etag.as_str().to_owned(),
        Field::StorageClass => object.storage_class.as_str().to_owned(),
        // As everywhere, the tag of an object of parts tells how many.
        Field::IsMultipartUploaded => object.etag.as_str().contains('-').to_string(),
        Field::ChecksumAlgorithm => {
            object.checksum.map(|(algorithm, _)| names::value(algorithm).to_owned()).unwrap_or_default()
        }
        // There is no replication, and no tiers by access.
        Field::ReplicationStatus | Field::IntelligentTieringAccessTier => String::new(),
    }
}
