//! One request with everything its handler needs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use granary_auth::{AuthMethod, Verified};
use granary_engine::Engine;
use granary_types::ChecksumAlgorithm;
use http::HeaderMap;
use http::request::Parts;

use crate::access::owner::Owner;
use crate::access::rules::Rules;
use crate::access::{Requester, Sent};
use crate::body::{
    self, BodyDigests, BodyLimits, BodySource, EtagNeed, LengthBounds, Protection, read_document,
};
use crate::error::S3Result;
use crate::metrics::Received;
use crate::notifications;
use crate::operation::Operation;
use crate::query::Query;
use crate::state::{S3State, Shared, UnknownLength};

/// A request after authentication.
pub(crate) struct Context<'a> {
    pub(crate) state: &'a S3State,
    pub(crate) shared: &'a Shared,
    pub(crate) parts: &'a Parts,
    pub(crate) host: &'a str,
    pub(crate) query: &'a Query<'a>,
    pub(crate) verified: &'a Verified,
    pub(crate) received: &'a ReceivedMeter,
    pub(crate) requester: Requester<'a>,
    /// The rules of the bucket, once the request was authorised.
    pub(crate) rules: OnceLock<Arc<Rules>>,
    /// Set when the requester is charged.
    pub(crate) charged: OnceLock<()>,
}

/// Adds up what bodies brought, for the metrics.
#[derive(Debug, Default)]
pub(crate) struct ReceivedMeter {
    bytes: AtomicU64,
    waited_ns: AtomicU64,
}

impl ReceivedMeter {
    pub(crate) fn add(&self, bytes: u64, waited: Duration) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.waited_ns.fetch_add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Received {
        Received {
            bytes: self.bytes.load(Ordering::Relaxed),
            waited: Duration::from_nanos(self.waited_ns.load(Ordering::Relaxed)),
        }
    }
}

impl<'a> Context<'a> {
    /// A request for an operation, whose sender is known; what it may do is still to be decided.
    pub(crate) fn new(
        state: &'a S3State,
        (parts, query, host): (&'a Parts, &'a Query<'a>, &'a str),
        verified: &'a Verified,
        operation: Operation,
        received: &'a ReceivedMeter,
    ) -> Self {
        let shared = &*state.0;
        let sent = Sent { parts, query, method: verified.method, operation };
        let requester = Requester::new(shared, &verified.principal, sent);
        Self {
            state,
            shared,
            parts,
            host,
            query,
            verified,
            received,
            requester,
            rules: OnceLock::new(),
            charged: OnceLock::new(),
        }
    }

    /// The engine for the writes of the request, which tells of them who caused them.
    pub(crate) fn writer(&self) -> Engine {
        notifications::engine_for(self)
    }

    pub(crate) fn headers(&self) -> &'a HeaderMap {
        &self.parts.headers
    }

    /// A header's text, trimmed; absent when it is not ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// Whether the request is signed: only then may it override the response's headers.
    pub(crate) fn is_signed(&self) -> bool {
        self.verified.method != AuthMethod::Anonymous
    }

    /// The body of an object or a part, with the MD5 for its tag and the checksum `keep` computed.
    pub(crate) fn object_body(
        &self,
        body: Body,
        (etag, keep): (EtagNeed, Option<ChecksumAlgorithm>),
        limit_bytes: u64,
    ) -> S3Result<BodySource> {
        let payload = &self.verified.payload;
        let digests = BodyDigests::new(self.headers(), payload, etag, keep)?;
        let limits = BodyLimits { idle: self.shared.body_idle(), length_bytes: limit_bytes };
        let source = match self.length_bounds(limit_bytes) {
            Some(bounds) => BodySource::within(body, bounds, digests, limits),
            None => BodySource::new(body, self.headers(), payload, digests, limits)?,
        };
        source.hashed_in(&self.shared.md5_pool)
    }

    /// The bounds of a body whose length is not announced and need not be.
    fn length_bounds(&self, limit_bytes: u64) -> Option<LengthBounds> {
        let of_file = self.parts.extensions.get::<LengthBounds>().copied();
        let accepted = self.shared.config.unknown_length == UnknownLength::Accepted
            && body::is_unknown(self.headers(), &self.verified.payload);
        let any = LengthBounds { least: 0, most: limit_bytes, hint_bytes: limit_bytes };
        of_file.or(accepted.then_some(any))
    }

    /// The whole request document.
    pub(crate) async fn document(
        &self,
        body: Body,
        limit_bytes: usize,
        protection: Protection,
    ) -> S3Result<Bytes> {
        let length_bytes = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
        let limits = BodyLimits { idle: self.shared.body_idle(), length_bytes };
        read_document(body, self.headers(), &self.verified.payload, limits, protection).await
    }

    /// The account that the bucket belongs to, or, of a request that is about none, that it acts for.
    pub(crate) fn owner(&self) -> Option<&Owner> {
        self.rules.get().map(|rules| &rules.owner).or_else(|| self.requester.own())
    }

    /// The part number of the query.
    ///
    /// # Errors
    /// `InvalidArgument` when it is absent or out of range.
    pub(crate) fn part_number(&self) -> S3Result<granary_types::PartNumber> {
        crate::xml::requests::parse_part_number(self.query.get("partNumber").unwrap_or_default())
    }
}
