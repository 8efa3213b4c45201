//! What is computed over a body while it is received, and compared with what the client sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use granary_auth::PayloadMode;
use granary_types::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::checksum::hasher::{Hasher, decode};
use crate::checksum::request::{Expected, RequestedChecksum};
use crate::checksum::{names, request};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::md5_pool::{BodyMd5, Md5Pool};

/// Whether an entity tag is wanted: for objects and parts it is, for documents only a sent MD5 is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EtagNeed {
    /// Compute the MD5 in any case.
    Wanted,
    /// Compute it only to compare it with `Content-MD5`.
    Unwanted,
}

/// The digests of one body.
#[derive(Debug)]
pub(crate) struct BodyDigests {
    md5: Option<BodyMd5>,
    content_md5: Option<[u8; 16]>,
    sha256: Option<(Sha256, [u8; 32])>,
    /// The checksum the client sends.
    sent: Option<(RequestedChecksum, Hasher)>,
    /// The checksum to keep, if it is another one.
    kept: Option<(ChecksumAlgorithm, Hasher)>,
}

/// The results, after all comparisons held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The MD5 in hexadecimal; empty if none was wanted, or if it was left to another.
    pub(crate) etag: Etag,
    /// The checksum the client sent.
    pub(crate) sent: Option<Checksum>,
    /// The checksum to keep.
    pub(crate) kept: Option<Checksum>,
}

impl BodyDigests {
    /// Digests for a body with these headers. `keep` names the checksum to compute whatever the client sends.
    ///
    /// # Errors
    /// `InvalidDigest` for a `Content-MD5` that is none, and the errors of [`request::of_headers`].
    pub(crate) fn new(
        headers: &HeaderMap,
        payload: &PayloadMode,
        etag: EtagNeed,
        keep: Option<ChecksumAlgorithm>,
    ) -> S3Result<Self> {
        Self::build(headers, payload, etag, request::of_headers(headers)?, keep)
    }

    /// Digests for a document whose checksum headers speak of something else.
    ///
    /// # Errors
    /// `InvalidDigest`.
    pub(crate) fn without_checksum(headers: &HeaderMap, payload: &PayloadMode) -> S3Result<Self> {
        Self::build(headers, payload, EtagNeed::Unwanted, None, None)
    }

    fn build(
        headers: &HeaderMap,
        payload: &PayloadMode,
        etag: EtagNeed,
        sent: Option<RequestedChecksum>,
        keep: Option<ChecksumAlgorithm>,
    ) -> S3Result<Self> {
        let content_md5 = content_md5(headers)?;
        let keep = keep.filter(|algorithm| sent.as_ref().is_none_or(|sent| sent.algorithm != *algorithm));
        Ok(Self {
            md5: (etag == EtagNeed::Wanted || content_md5.is_some()).then(BodyMd5::own_task),
            content_md5,
            sha256: match payload {
                PayloadMode::Signed(sha256) => Some((Sha256::new(), sha256.0)),
                _ => None,
            },
            sent: sent.map(|sent| {
                let hasher = Hasher::new(sent.algorithm);
                (sent, hasher)
            }),
            kept: keep.map(|algorithm| (algorithm, Hasher::new(algorithm))),
        })
    }

    /// Whether the client sends an MD5 or a checksum of the body.
    pub(crate) fn is_protected(&self) -> bool {
        self.content_md5.is_some() || self.sent.is_some()
    }

    /// Computes the MD5 of a body of `length_bytes` in the pool, if it is long enough. To be called before any data
    /// is added.
    ///
    /// # Errors
    /// `InternalError` when the hashing threads are gone.
    pub(crate) fn use_pool(&mut self, pool: &Md5Pool, length_bytes: u64) -> S3Result<()> {
        if self.md5.is_some() {
            self.md5 = Some(pool.body(length_bytes)?);
        }
        Ok(())
    }

    /// Leaves the MD5 to another, who has the whole body and does it for less; `false` if it has been begun, or is to be
    /// compared with one that was sent.
    pub(crate) fn leave_md5(&mut self) -> bool {
        let leaves = self.content_md5.is_none() && self.md5.as_ref().is_some_and(BodyMd5::is_not_begun);
        if leaves {
            self.md5 = None;
        }
        leaves
    }

    /// Adds `data`; waits if the MD5 is far behind.
    ///
    /// # Errors
    /// `InternalError` when the hashing threads are gone.
    pub(crate) async fn update(&mut self, data: &Bytes) -> S3Result<()> {
        if let Some((sha256, _)) = &mut self.sha256 {
            sha256.update(data);
        }
        if let Some((_, hasher)) = &mut self.sent {
            hasher.update(data);
        }
        if let Some((_, hasher)) = &mut self.kept {
            hasher.update(data);
        }
        match &mut self.md5 {
            Some(md5) => Ok(md5.update(data).await?),
            None => Ok(()),
        }
    }

    /// Compares everything that was sent. `trailer` gives the value of a trailer.
    ///
    /// # Errors
    /// `XAmzContentSHA256Mismatch`, `BadDigest`, or `MalformedTrailerError` when the announced trailer is missing.
    pub(crate) async fn finish<'t>(self, trailer: impl Fn(&str) -> Option<&'t str>) -> S3Result<Verified> {
        if let Some((sha256, signed)) = self.sha256 {
            check_sha256(&sha256.finalize().into(), &signed)?;
        }
        let md5 = match self.md5 {
            Some(md5) => Some(md5.finish().await?),
            None => None,
        };
        if let (Some(computed), Some(sent)) = (&md5, &self.content_md5)
            && computed != sent
        {
            return Err(S3Error::with_message(
                ErrorCode::BadDigest,
                "The Content-MD5 you specified did not match what we received.",
            )
            .field("ExpectedDigest", BASE64.encode(sent))
            .field("CalculatedDigest", BASE64.encode(computed)));
        }
        let full = |algorithm, value| Checksum { algorithm, kind: ChecksumKind::FullObject, value };
        let sent = match self.sent {
            Some((sent, hasher)) => Some(full(sent.algorithm, check_sent(&sent, hasher, trailer)?)),
            None => None,
        };
        let kept = self.kept.map(|(algorithm, hasher)| full(algorithm, hasher.finish_base64()));
        Ok(Verified {
            etag: Etag::new(md5.map(hex::encode).unwrap_or_default()),
            kept: kept.or(sent.clone()),
            sent,
        })
    }
}

fn check_sha256(computed: &[u8; 32], signed: &[u8; 32]) -> S3Result<()> {
    if computed == signed {
        return Ok(());
    }
    Err(S3Error::new(ErrorCode::XAmzContentSHA256Mismatch)
        .field("ClientComputedContentSHA256", hex::encode(signed))
        .field("S3ComputedContentSHA256", hex::encode(computed)))
}

/// Compares the checksum the client sent, and gives it in base64.
fn check_sent<'t>(
    sent: &RequestedChecksum,
    hasher: Hasher,
    trailer: impl Fn(&str) -> Option<&'t str>,
) -> S3Result<String> {
    let (algorithm, header) = (sent.algorithm, names::header(sent.algorithm));
    let expected = match &sent.expected {
        Expected::Value(value) => value.clone(),
        Expected::Trailer => {
            let value = trailer(header).ok_or_else(|| S3Error::new(ErrorCode::MalformedTrailerError))?;
            decode(algorithm, value).ok_or_else(|| {
                S3Error::invalid_request(format!("Value for {header} trailing header is invalid."))
            })?
        }
    };
    let computed = hasher.finish();
    if computed != expected {
        let message =
            format!("The {} you specified did not match the calculated checksum.", names::value(algorithm));
        return Err(S3Error::with_message(ErrorCode::BadDigest, message));
    }
    Ok(BASE64.encode(computed))
}

fn content_md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let decoded = value.to_str().ok().and_then(|text| BASE64.decode(text.trim()).ok());
    match decoded.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()) {
        Some(md5) => Ok(Some(md5)),
        None => {
            Err(S3Error::new(ErrorCode::InvalidDigest)
                .field("Content-MD5", value.to_str().unwrap_or_default()))
        }
    }
}

#[cfg(test)]
#[path = "digests_tests.rs"]
mod tests;
