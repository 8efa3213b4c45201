//! Pulls a body, frame by frame.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use granary_auth::PayloadMode;
use granary_auth::chunked::{ChunkedDecoder, Trailers};
use granary_engine::{Digests, Ended, PutSource, SourceError};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::digests::{BodyDigests, EtagNeed, Verified};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::md5_pool::Md5Pool;

/// How much a body may be and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// The longest time without a byte.
    pub(crate) idle: Duration,
    /// The greatest length, after decoding.
    pub(crate) length_bytes: u64,
}

/// The length of a body that is not announced: a file in a form, or what comes in chunks of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LengthBounds {
    /// The least it may be.
    pub(crate) least: u64,
    /// The most it may be.
    pub(crate) most: u64,
    /// What it is at most, if the client tells the truth.
    pub(crate) hint_bytes: u64,
}

/// The length of the body after decoding, as announced.
///
/// # Errors
/// `MissingContentLength` when it is not announced, `EntityTooLarge` when it exceeds `limit_bytes`.
pub(crate) fn announced_length(
    headers: &HeaderMap,
    payload: &PayloadMode,
    limit_bytes: u64,
) -> S3Result<u64> {
    let name = match payload {
        PayloadMode::Signed(_) | PayloadMode::Unsigned => header::CONTENT_LENGTH.as_str(),
        PayloadMode::StreamingSigned { .. } | PayloadMode::StreamingUnsignedTrailer => {
            "x-amz-decoded-content-length"
        }
    };
    let value = headers.get(name).ok_or(ErrorCode::MissingContentLength)?;
    let length_bytes: u64 = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| S3Error::invalid_request(format!("The value of {name} is not valid.")))?;
    if length_bytes > limit_bytes {
        return Err(S3Error::new(ErrorCode::EntityTooLarge)
            .field("ProposedSize", length_bytes.to_string())
            .field("MaxSizeAllowed", limit_bytes.to_string()));
    }
    Ok(length_bytes)
}

/// Whether the length of a body is known at its end only: neither a header nor framing of its own announces it.
pub(crate) fn is_unknown(headers: &HeaderMap, payload: &PayloadMode) -> bool {
    matches!(payload, PayloadMode::Signed(_) | PayloadMode::Unsigned)
        && headers.contains_key(header::TRANSFER_ENCODING)
        && !headers.contains_key(header::CONTENT_LENGTH)
}

/// A body being pulled by the engine.
pub(crate) struct BodySource {
    body: Body,
    decoder: Option<ChunkedDecoder>,
    /// Received, but not yet decoded.
    input: Bytes,
    length_bytes: u64,
    /// The bounds of a body whose length is not announced; the length is then the greatest.
    bounds: Option<LengthBounds>,
    received_bytes: u64,
    idle: Duration,
    digests: Option<BodyDigests>,
    verified: Option<Verified>,
    waited: Duration,
}

impl BodySource {
    /// The body of a request whose head has been checked; nothing is polled yet.
    ///
    /// # Errors
    /// When the announced length is missing, wrong or too large.
    pub(crate) fn new(
        body: Body,
        headers: &HeaderMap,
        payload: &PayloadMode,
        digests: BodyDigests,
        limits: BodyLimits,
    ) -> S3Result<Self> {
        let length_bytes = announced_length(headers, payload, limits.length_bytes)?;
        Ok(Self {
            body,
            decoder: ChunkedDecoder::for_request(payload, headers)?,
            input: Bytes::new(),
            length_bytes,
            bounds: None,
            received_bytes: 0,
            idle: limits.idle,
            digests: Some(digests),
            verified: None,
            waited: Duration::ZERO,
        })
    }

    /// A body without framing whose length lies within `bounds` and `limits`.
    pub(crate) fn within(body: Body, bounds: LengthBounds, digests: BodyDigests, limits: BodyLimits) -> Self {
        Self {
            body,
            decoder: None,
            input: Bytes::new(),
            length_bytes: bounds.most.min(limits.length_bytes),
            bounds: Some(bounds),
            received_bytes: 0,
            idle: limits.idle,
            digests: Some(digests),
            verified: None,
            waited: Duration::ZERO,
        }
    }

    /// Computes the MD5 of a long body beside the task that receives it.
    ///
    /// # Errors
    /// `InternalError` when the hashing threads are gone.
    pub(crate) fn hashed_in(mut self, pool: &Md5Pool) -> S3Result<Self> {
        if let Some(digests) = &mut self.digests {
            let hint_bytes = self.bounds.map_or(u64::MAX, |bounds| bounds.hint_bytes);
            digests.use_pool(pool, self.length_bytes.min(hint_bytes))?;
        }
        Ok(self)
    }

    /// The length announced.
    pub(crate) fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// How many bytes came.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// How long the client was waited for.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// What was computed, once the body has ended well.
    pub(crate) fn verified(&self) -> Option<&Verified> {
        self.verified.as_ref()
    }

    /// The next bytes of the body, decoded and counted.
    pub(crate) async fn pull(&mut self) -> S3Result<Option<Bytes>> {
        loop {
            if !self.input.is_empty() {
                let data = match &mut self.decoder {
                    Some(decoder) => decoder.decode(&mut self.input)?,
                    None => Some(std::mem::take(&mut self.input)),
                };
                if let Some(data) = data {
                    self.account(&data).await?;
                    return Ok(Some(data));
                }
            }
            match self.receive().await? {
                Some(data) => self.input = data,
                None => return Ok(None),
            }
        }
    }

    /// The next frame's data, which may be empty.
    async fn receive(&mut self) -> S3Result<Option<Bytes>> {
        let started = Instant::now();
        let frame = tokio::time::timeout(self.idle, self.body.frame()).await;
        self.waited += started.elapsed();
        match frame {
            Err(_elapsed) => Err(S3Error::new(ErrorCode::RequestTimeout)),
            Ok(None) => Ok(None),
            Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
            Ok(Some(Err(error))) => Err(cut_off(error)),
        }
    }

    async fn account(&mut self, data: &Bytes) -> S3Result<()> {
        self.received_bytes =
            self.received_bytes.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if self.received_bytes > self.length_bytes {
            return Err(match self.bounds {
                None => S3Error::new(ErrorCode::IncompleteBody),
                Some(_) => S3Error::new(ErrorCode::EntityTooLarge)
                    .field("ProposedSize", self.received_bytes.to_string())
                    .field("MaxSizeAllowed", self.length_bytes.to_string()),
            });
        }
        if let Some(digests) = &mut self.digests {
            digests.update(data).await?;
        }
        Ok(())
    }

    /// Verifies length, chunk signatures and digests.
    pub(crate) async fn verify(&mut self) -> S3Result<&Verified> {
        self.check_length()?;
        let trailers = match self.decoder.take() {
            Some(decoder) => decoder.finish()?,
            None => Trailers::default(),
        };
        let digests = self.digests.take().ok_or(ErrorCode::InternalError)?;
        Ok(self.verified.insert(digests.finish(|name| trailers.get(name)).await?))
    }
}

/// The error of a body that does not come to its end. The file of a form has errors of its own, which each layer of
/// bodies has wrapped.
fn cut_off(error: axum::Error) -> S3Error {
    let mut inner = error.into_inner();
    loop {
        match inner.downcast::<axum::Error>() {
            Ok(nested) => inner = nested.into_inner(),
            Err(other) => {
                return match other.downcast::<S3Error>() {
                    Ok(own) => *own,
                    Err(other) => S3Error::new(ErrorCode::IncompleteBody).because(other),
                };
            }
        }
    }
}

impl BodySource {
    /// Compares what came with what was announced.
    fn check_length(&self) -> S3Result<()> {
        match self.bounds {
            None if self.received_bytes != self.length_bytes => Err(S3Error::new(ErrorCode::IncompleteBody)
                .field("NumberBytesExpected", self.length_bytes.to_string())
                .field("NumberBytesProvided", self.received_bytes.to_string())),
            Some(bounds) if self.received_bytes < bounds.least => {
                Err(S3Error::new(ErrorCode::EntityTooSmall)
                    .field("ProposedSize", self.received_bytes.to_string())
                    .field("MinSizeAllowed", bounds.least.to_string()))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl PutSource for BodySource {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        self.pull().await.map_err(Into::into)
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        let verified = self.verify().await?;
        Ok(Digests { etag: verified.etag.clone(), checksum: verified.kept.clone() })
    }

    async fn finish_but_md5(&mut self) -> Result<Ended, SourceError> {
        if self.digests.as_mut().is_some_and(BodyDigests::leave_md5) {
            return Ok(Ended::ButMd5(self.verify().await?.kept.clone()));
        }
        self.finish().await.map(Ended::Digested)
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        self.bounds.is_none().then_some(self.length_bytes)
    }
}

/// Whether a document must be covered by `Content-MD5` or a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// It must.
    Required,
    /// Only what is sent is checked.
    Optional,
    /// Checksum headers are not about this document but about an object.
    ChecksumIsOfTheObject,
}

/// Reads a whole request document.
///
/// # Errors
/// `MaxMessageLengthExceeded` when it exceeds the limit, `InvalidRequest` when it must be protected and is not,
/// and what [`BodySource`] reports.
pub(crate) async fn read_document(
    body: Body,
    headers: &HeaderMap,
    payload: &PayloadMode,
    limits: BodyLimits,
    protection: Protection,
) -> S3Result<Bytes> {
    let digests = match protection {
        Protection::ChecksumIsOfTheObject => BodyDigests::without_checksum(headers, payload)?,
        _ => BodyDigests::new(headers, payload, EtagNeed::Unwanted, None)?,
    };
    if protection == Protection::Required && !digests.is_protected() {
        return Err(S3Error::invalid_request(
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    if body.is_end_stream() && !headers.contains_key(header::CONTENT_LENGTH) {
        digests.finish(|_| None).await?;
        return Ok(Bytes::new());
    }
    let mut source = match BodySource::new(body, headers, payload, digests, limits) {
        Err(error) if error.code() == ErrorCode::EntityTooLarge => {
            return Err(ErrorCode::MaxMessageLengthExceeded.into());
        }
        source => source?,
    };
    let mut document = BytesMut::with_capacity(usize::try_from(source.length_bytes()).unwrap_or(0));
    while let Some(data) = source.pull().await? {
        document.extend_from_slice(&data);
    }
    source.verify().await?;
    Ok(document.freeze())
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
