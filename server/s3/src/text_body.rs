//! A text that this server itself stores as an object.

use async_trait::async_trait;
use bytes::Bytes;
use granary_engine::{Digests, PutSource, SourceError};
use granary_types::Etag;
use md5::{Digest as _, Md5};

/// A text as a body.
pub(crate) struct TextBody {
    text: Option<Bytes>,
    etag: Etag,
}

impl TextBody {
    pub(crate) fn new(text: String) -> Self {
        let etag = Etag::new(hex::encode(Md5::digest(text.as_bytes())));
        Self { text: Some(Bytes::from(text)), etag }
    }
}

#[async_trait]
impl PutSource for TextBody {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        Ok(self.text.take().filter(|text| !text.is_empty()))
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        Ok(Digests { etag: self.etag.clone(), checksum: None })
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        self.text.as_ref().map(|text| text.len() as u64)
    }
}
