//! The bytes of one object on their way into another.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use granary_engine::{Digests, ObjectStream, PutSource, SourceError};
use granary_types::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag};

use crate::checksum::Hasher;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::md5_pool::{BodyMd5, Md5Pool};

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
