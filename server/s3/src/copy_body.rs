//! The bytes of one object on their way into another.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use granary_engine::{Digests, ObjectInfo, ObjectStream, PutSource, SharedBlobs, SourceError};
use granary_types::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag};

use crate::checksum::Hasher;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::md5_pool::{BodyMd5, Md5Pool};

const MD5_HEX_LENGTH: usize = 32;

/// Reads an object, and computes the entity tag and the checksum of its copy.
pub(crate) struct CopyBody {
    reader: ObjectStream,
    length_bytes: u64,
    read_bytes: u64,
    digests: Option<(BodyMd5, Hasher)>,
    algorithm: ChecksumAlgorithm,
}

impl CopyBody {
    /// Copies the `length_bytes` that `reader` gives.
    ///
    /// # Errors
    /// `InternalError` when the hashing threads are gone.
    pub(crate) fn new(
        reader: ObjectStream,
        length_bytes: u64,
        algorithm: ChecksumAlgorithm,
        pool: &Md5Pool,
    ) -> S3Result<Self> {
        let digests = Some((pool.body(length_bytes)?, Hasher::new(algorithm)));
        Ok(Self { reader, length_bytes, read_bytes: 0, digests, algorithm })
    }
}

#[async_trait]
impl PutSource for CopyBody {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        let data = self.reader.next().await.transpose().map_err(S3Error::from)?;
        if let (Some(data), Some((md5, hasher))) = (&data, &mut self.digests) {
            hasher.update(data);
            md5.update(data).await.map_err(S3Error::from)?;
            self.read_bytes = self.read_bytes.saturating_add(u64::try_from(data.len())?);
        }
        Ok(data)
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        if self.read_bytes != self.length_bytes {
            return Err(S3Error::new(ErrorCode::InternalError)
                .because("the source of a copy ended early")
                .into());
        }
        let (md5, hasher) = self.digests.take().ok_or("a copy was finished twice")?;
        let checksum = Checksum {
            algorithm: self.algorithm,
            kind: ChecksumKind::FullObject,
            value: hasher.finish_base64(),
        };
        Ok(Digests {
            etag: Etag::new(hex::encode(md5.finish().await.map_err(S3Error::from)?)),
            checksum: Some(checksum),
        })
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        Some(self.length_bytes)
    }
}

/// Bytes that are shared and not copied: none of them come, and their digests at the end. Those are the source's where it is shared as
/// a whole and has them; otherwise the bytes are read then.
pub(crate) struct SharedBody<'a> {
    source: &'a ObjectInfo,
    shared: &'a SharedBlobs,
    algorithm: ChecksumAlgorithm,
    pool: &'a Md5Pool,
}

impl<'a> SharedBody<'a> {
    pub(crate) fn new(
        source: &'a ObjectInfo,
        shared: &'a SharedBlobs,
        algorithm: ChecksumAlgorithm,
        pool: &'a Md5Pool,
    ) -> Self {
        Self { source, shared, algorithm, pool }
    }
}

#[async_trait]
impl PutSource for SharedBody<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        Ok(None)
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        if self.shared.length_bytes() == self.source.length_bytes
            && let Some(known) = known_digests(self.source, self.algorithm)
        {
            return Ok(known);
        }
        let (reader, length_bytes) = (self.shared.read(), self.shared.length_bytes());
        let mut body = CopyBody::new(reader, length_bytes, self.algorithm, self.pool)?;
        while body.next().await?.is_some() {}
        body.finish().await
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        Some(self.shared.length_bytes())
    }
}

/// The digests of an object whose tag is the MD5 of its bytes, as it is if it was put whole, and whose checksum is of all of them.
fn known_digests(source: &ObjectInfo, algorithm: ChecksumAlgorithm) -> Option<Digests> {
    let is_md5 = source.parts.is_none()
        && source.encryption.is_none()
        && source.etag.as_str().len() == MD5_HEX_LENGTH
        && source.etag.as_str().bytes().all(|byte| byte.is_ascii_hexdigit());
    let checksum = source
        .checksum
        .as_ref()
        .filter(|checksum| checksum.algorithm == algorithm && checksum.kind == ChecksumKind::FullObject)?;
    is_md5.then(|| Digests { etag: source.etag.clone(), checksum: Some(checksum.clone()) })
}

#[cfg(test)]
#[path = "copy_body_tests.rs"]
mod tests;
