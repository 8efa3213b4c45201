//! A body for unit tests.

use async_trait::async_trait;
use bytes::Bytes;
use granary_types::Etag;

use crate::api::{Digests, PutSource, SourceError};

/// These bytes in one piece, with an entity tag that is always the same.
pub(crate) struct SampleBody(pub(crate) Option<Bytes>);

#[async_trait]
impl PutSource for SampleBody {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        Ok(self.0.take())
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        Ok(Digests { etag: Etag::new("etag"), checksum: None })
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        None
    }
}
