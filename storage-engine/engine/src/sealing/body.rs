//! A body that is encrypted on its way to the drives.

use async_trait::async_trait;
use bytes::Bytes;
use granary_keys::DataKey;
use granary_keys::units::{Sealer, StreamId, stored_length_bytes};

use crate::api::{Digests, PutSource, SourceError};
use crate::error::Result;

/// Gives what is stored of another body, and that one's digests.
pub(crate) struct SealedBody<'s> {
    source: &'s mut dyn PutSource,
    sealer: Sealer,
    /// Received, but not yet encrypted.
    pending: Bytes,
    ended: bool,
}

impl<'s> SealedBody<'s> {
    /// Encrypts `source`, which is the only one ever for this key and stream.
    pub(crate) fn new(source: &'s mut dyn PutSource, key: &DataKey, stream: StreamId) -> Result<Self> {
        Ok(Self { source, sealer: Sealer::new(key, stream)?, pending: Bytes::new(), ended: false })
    }

    /// How many bytes the client sent.
    pub(crate) fn plain_bytes(&self) -> u64 {
        self.sealer.plain_bytes()
    }
}

#[async_trait]
impl PutSource for SealedBody<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            if let Some(unit) = self.sealer.push(&mut self.pending)? {
                return Ok(Some(unit));
            }
            if self.ended {
                return Ok(None);
            }
            match self.source.next().await? {
                Some(bytes) => self.pending = bytes,
                None => {
                    self.ended = true;
                    return Ok(self.sealer.finish()?);
                }
            }
        }
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        self.source.finish().await
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        self.source.length_hint_bytes().map(stored_length_bytes)
    }
}
