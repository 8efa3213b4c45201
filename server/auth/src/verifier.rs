//! Verification of one request head.
//!
//! The order is AWS's: what kind of authentication this is, whether it is well formed, whether its time is right,
//! whether the access key exists, whether everything that must be signed is, and only then the signature.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, DATE, HOST, HeaderName};
use http::{HeaderMap, Method, Uri};

use crate::amz_date::{AmzDate, unix_seconds};
use crate::authorization::{ALGORITHM, SignatureFields, UNSUPPORTED_MECHANISM, parse_authorization};
use crate::canonical::{CanonicalRequest, SignedHeaders};
use crate::credentials::{CredentialSource, KeyUse, KnownKey, Principal};
use crate::error::{AccessDeniedReason, AuthError};
use crate::payload::{PayloadKind, PayloadMode};
use crate::presigned::{PresignedParameters, SIGNATURE_PARAMETER, is_presigned, is_presigned_v2};
use crate::query::CanonicalQuery;
use crate::scope::{CredentialScope, Service};
use crate::signing::{Signature, SigningKey, SigningKeyCache, StreamingSignature, sha256_hex};

/// How far the client's clock may be from ours: 15 minutes.
pub(crate) const MAX_SKEW_S: i64 = 15 * 60;

pub(crate) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
pub(crate) const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(crate) const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

pub(crate) const ONE_MECHANISM: &str = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
                             query string parameter or the Authorization header should be specified";

const BAD_SIGNED_HEADERS: &str =
    "SignedHeaders must be a sorted, semicolon-separated list of lower-case header names.";

/// Which regions a client may sign for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionPolicy {
    /// Every well-formed name: the store is in no AWS region, and clients are configured with all kinds.
    Any,
    /// These, or none at all; the first is the one that errors tell the client to use.
    OneOf(Vec<String>),
}

/// The parts of a request head that are verified.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target as it came in, not decoded or normalised.
    pub uri: &'a Uri,
    /// All headers.
    pub headers: &'a HeaderMap,
}

impl<'a> From<&'a http::request::Parts> for RequestHead<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self { method: &parts.method, uri: &parts.uri, headers: &parts.headers }
    }
}

/// How a request was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Not at all.
    Anonymous,
    /// By the `Authorization` header.
    Header,
    /// By a presigned URL.
    Presigned,
    /// By the signed policy of a browser's form.
    Form,
    /// By the policy of a form that is signed with Signature Version 2.
    FormV2,
    /// By the `Authorization` header of Signature Version 2.
    HeaderV2,
    /// By a presigned URL of Signature Version 2.
    PresignedV2,
}

/// A request whose signature is right, or that carries none ([`Principal::Anonymous`]).
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who the request acts for. Whether they may is not decided here.
    pub principal: Principal,
    /// How it was authenticated.
    pub method: AuthMethod,
    /// How the body is covered; what this says must be enforced before anything is committed.
    pub payload: PayloadMode,
}

/// Verifies request heads. One per process, shared.
pub struct Verifier {
    pub(crate) source: Arc<dyn CredentialSource>,
    regions: RegionPolicy,
    keys: SigningKeyCache,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("regions", &self.regions).finish_non_exhaustive()
    }
}

/// One signed request, whichever form its signature came in.
struct Claim<'a> {
    method: AuthMethod,
    fields: SignatureFields<'a>,
    signed_at: AmzDate,
    payload: PayloadKind,
    payload_hash: &'a str,
    /// The session token, if the key is a temporary one.
    token: Option<&'a str>,
    service: Service,
    now: SystemTime,
    skip_parameter: Option<&'a str>,
}

impl Verifier {
    /// A verifier that knows the keys of `source`.
    pub fn new(source: Arc<dyn CredentialSource>, regions: RegionPolicy) -> Self {
        Self { source, regions, keys: SigningKeyCache::new() }
    }

    /// Verifies a request's head at the time `now`.
    ///
    /// # Errors
    /// Every [`AuthError`] but those of [`crate::chunked`].
    pub fn verify<'a>(
        &self,
        head: impl Into<RequestHead<'a>>,
        now: SystemTime,
    ) -> Result<Verified, AuthError> {
        let head = head.into();
        let query = CanonicalQuery::parse(head.uri.query());
        let is_presigned_v2 = is_presigned_v2(&query);
        match (single_header(head.headers, &AUTHORIZATION)?, is_presigned(&query)) {
            (Some(_), true) => Err(AuthError::InvalidArgument(ONE_MECHANISM.to_owned())),
            (Some(_), false) if is_presigned_v2 => Err(AuthError::InvalidArgument(ONE_MECHANISM.to_owned())),
            (Some(value), false) => self.verify_header(&head, &query, value, (now, None)),
            (None, true) => self.verify_presigned(&head, &query, now),
            (None, false) if is_presigned_v2 => {
                Err(AuthError::InvalidRequest(UNSUPPORTED_MECHANISM.to_owned()))
            }
            (None, false) => anonymous(&head),
        }
    }

    /// Verifies a request to another service than S3, whose clients sign the SHA-256 of the body without sending it:
    /// `body_sha256` is that of the body that was received, 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// Every [`AuthError`] but those of [`crate::chunked`]; requests that are not signed in their header are refused
    /// with [`AccessDeniedReason::NotSigned`].
    pub fn verify_query<'a>(
        &self,
        head: impl Into<RequestHead<'a>>,
        service: Service,
        body_sha256: &str,
        now: SystemTime,
    ) -> Result<Verified, AuthError> {
        let head = head.into();
        let query = CanonicalQuery::parse(head.uri.query());
        let authorization = single_header(head.headers, &AUTHORIZATION)?;
        let authorization = authorization.ok_or(AuthError::AccessDenied(AccessDeniedReason::NotSigned))?;
        if is_presigned(&query) {
            return Err(AuthError::InvalidArgument(ONE_MECHANISM.to_owned()));
        }
        self.verify_header(&head, &query, authorization, (now, Some((service, body_sha256))))
    }

    /// `other` is the service and the hash of the body that was received, if it is not S3's.
    fn verify_header(
        &self,
        head: &RequestHead<'_>,
        query: &CanonicalQuery<'_>,
        authorization: &str,
        (now, other): (SystemTime, Option<(Service, &str)>),
    ) -> Result<Verified, AuthError> {
        let fields = parse_authorization(authorization)?;
        let token = token_header(head)?;
        let service = other.map_or(Service::S3, |(service, _)| service);
        fields.scope.check_service(service).map_err(AuthError::malformed)?;
        let signed_at = request_date(head.headers)?;
        fields.scope.check_day(&signed_at).map_err(AuthError::malformed)?;
        if signed_at.unix_s().abs_diff(unix_seconds(now)) > MAX_SKEW_S.unsigned_abs() {
            return Err(AuthError::RequestTimeTooSkewed);
        }
        let payload_hash = match other {
            // One that is sent too is among the signed headers, and must be the same for the signature to fit.
            Some((_, body_sha256)) => body_sha256,
            None => single_header(head.headers, &CONTENT_SHA256)?.ok_or_else(|| {
                AuthError::InvalidRequest(
                    "Missing required header for this request: x-amz-content-sha256".to_owned(),
                )
            })?,
        };
        let payload = PayloadKind::parse(payload_hash)?;
        let claim = Claim {
            method: AuthMethod::Header,
            fields,
            signed_at,
            payload,
            payload_hash,
            token,
            service,
            now,
            skip_parameter: None,
        };
        self.check_claim(head, query, &claim)
    }

    fn verify_presigned(
        &self,
        head: &RequestHead<'_>,
        query: &CanonicalQuery<'_>,
        now: SystemTime,
    ) -> Result<Verified, AuthError> {
        let presigned = PresignedParameters::parse(query)?;
        if head.headers.contains_key(SECURITY_TOKEN) {
            return Err(AuthError::InvalidToken);
        }
        let refuse = |reason| malformed(AuthMethod::Presigned, reason);
        let scope = CredentialScope::parse(&presigned.credential).map_err(refuse)?;
        scope.check_service(Service::S3).map_err(refuse)?;
        scope.check_day(&presigned.signed_at).map_err(refuse)?;
        presigned.check_time(unix_seconds(now), MAX_SKEW_S)?;
        let header = single_header(head.headers, &CONTENT_SHA256)?;
        let payload_hash = header.or(presigned.content_sha256.as_deref()).unwrap_or("UNSIGNED-PAYLOAD");
        let payload = PayloadKind::parse(payload_hash)?;
        if matches!(payload, PayloadKind::StreamingSigned(_)) {
            return Err(AuthError::InvalidRequest(
                "A presigned URL cannot be used with a signed streaming payload.".to_owned(),
            ));
        }
        let claim = Claim {
            method: AuthMethod::Presigned,
            fields: SignatureFields {
                scope,
                signed_headers: &presigned.signed_headers,
                signature: &presigned.signature,
            },
            signed_at: presigned.signed_at,
            payload,
            payload_hash,
            token: presigned.token.as_deref(),
            service: Service::S3,
            now,
            skip_parameter: Some(SIGNATURE_PARAMETER),
        };
        self.check_claim(head, query, &claim)
    }

    /// The key that a request names, with the session token that came along.
    pub(crate) fn known_key(
        &self,
        access_key: &str,
        token: Option<&str>,
        now: SystemTime,
    ) -> Result<KnownKey, AuthError> {
        match token {
            Some(token) => Ok(self.source.temporary(access_key, token, now)?),
            None => self.source.secret_for(access_key).ok_or(AuthError::InvalidAccessKeyId),
        }
    }

    fn check_claim(
        &self,
        head: &RequestHead<'_>,
        query: &CanonicalQuery<'_>,
        claim: &Claim<'_>,
    ) -> Result<Verified, AuthError> {
        let scope = &claim.fields.scope;
        self.check_region(scope, claim.method)?;
        let known = self.known_key(scope.access_key, claim.token, claim.now)?;
        let signed_headers = SignedHeaders::parse(claim.fields.signed_headers)
            .ok_or_else(|| malformed(claim.method, BAD_SIGNED_HEADERS.to_owned()))?;
        signed_headers.check_coverage(head.headers)?;
        let host = request_host(head)?.unwrap_or_default();
        let canonical = CanonicalRequest {
            method: head.method,
            path: head.uri.path(),
            query,
            skip_parameter: claim.skip_parameter,
            headers: head.headers,
            host,
            signed_headers,
            payload_hash: claim.payload_hash,
        };
        let text = string_to_sign(&claim.signed_at, scope, &sha256_hex(&canonical.to_bytes()?));
        let cached = self.keys.get(scope, &known.secret);
        let is_new = cached.is_none();
        let key = cached
            .unwrap_or_else(|| SigningKey::derive_for(claim.service, &known.secret, scope.day, scope.region));
        let given = Signature::from_hex(claim.fields.signature).ok_or(AuthError::SignatureDoesNotMatch)?;
        if key.sign(text.as_bytes()) != given {
            return Err(AuthError::SignatureDoesNotMatch);
        }
        if is_new {
            self.keys.put(scope, &known.secret, &key);
        }
        let (access_key, region) = (scope.access_key, scope.region);
        self.source.used(&KeyUse { access_key, service: claim.service, region, at: claim.now });
        Ok(Verified {
            principal: known.principal,
            method: claim.method,
            payload: payload_mode(claim, given, key),
        })
    }

    pub(crate) fn check_region(
        &self,
        scope: &CredentialScope<'_>,
        method: AuthMethod,
    ) -> Result<(), AuthError> {
        let RegionPolicy::OneOf(allowed) = &self.regions else { return Ok(()) };
        if scope.region.is_empty() || allowed.iter().any(|region| region == scope.region) {
            return Ok(());
        }
        let expected = allowed.first().cloned().unwrap_or_default();
        let reason = format!("the region '{}' is wrong; expecting '{expected}'", scope.region);
        Err(match malformed(method, reason) {
            AuthError::AuthorizationHeaderMalformed { reason, .. } => {
                AuthError::AuthorizationHeaderMalformed { reason, region: Some(expected) }
            }
            other => other,
        })
    }
}

/// The error for a part of the signature that is not well formed, by where it stood.
fn malformed(method: AuthMethod, reason: String) -> AuthError {
    match method {
        AuthMethod::Presigned => AuthError::AuthorizationQueryParametersError(format!(
            "Error parsing the query-string authentication parameters; {reason}"
        )),
        _ => AuthError::malformed(reason),
    }
}

fn payload_mode(claim: &Claim<'_>, seed: Signature, key: SigningKey) -> PayloadMode {
    match claim.payload {
        PayloadKind::Signed(sha256) => PayloadMode::Signed(sha256),
        PayloadKind::Unsigned => PayloadMode::Unsigned,
        PayloadKind::StreamingUnsignedTrailer => PayloadMode::StreamingUnsignedTrailer,
        PayloadKind::StreamingSigned(trailer) => {
            let (timestamp, scope) = (claim.signed_at.as_str(), claim.fields.scope.text);
            let signature = Box::new(StreamingSignature::new(seed, key, timestamp, scope));
            PayloadMode::StreamingSigned { signature, trailer }
        }
    }
}

pub(crate) fn string_to_sign(
    signed_at: &AmzDate,
    scope: &CredentialScope<'_>,
    canonical_hash: &str,
) -> String {
    let mut text = String::with_capacity(192);
    for line in [ALGORITHM, signed_at.as_str(), scope.text] {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(canonical_hash);
    text
}

/// The session token, which is sent with temporary credentials.
pub(crate) fn token_header<'a>(head: &RequestHead<'a>) -> Result<Option<&'a str>, AuthError> {
    single_header(head.headers, &SECURITY_TOKEN).map_err(|_| AuthError::InvalidToken)
}

fn anonymous(head: &RequestHead<'_>) -> Result<Verified, AuthError> {
    let payload = match single_header(head.headers, &CONTENT_SHA256)? {
        None => PayloadMode::Unsigned,
        Some(value) => match PayloadKind::parse(value)? {
            PayloadKind::Signed(sha256) => PayloadMode::Signed(sha256),
            PayloadKind::Unsigned => PayloadMode::Unsigned,
            PayloadKind::StreamingUnsignedTrailer => PayloadMode::StreamingUnsignedTrailer,
            PayloadKind::StreamingSigned(_) => {
                return Err(AuthError::InvalidRequest(
                    "A request without authentication cannot have a signed streaming payload.".to_owned(),
                ));
            }
        },
    };
    Ok(Verified { principal: Principal::Anonymous, method: AuthMethod::Anonymous, payload })
}

/// `x-amz-date`, or else `Date`.
pub(crate) fn request_date(headers: &HeaderMap) -> Result<AmzDate, AuthError> {
    let missing = AuthError::AccessDenied(AccessDeniedReason::MissingDate);
    if let Some(value) = single_header(headers, &AMZ_DATE)? {
        return AmzDate::parse_iso8601(value.as_bytes()).ok_or(missing);
    }
    let value = single_header(headers, &DATE)?.ok_or_else(|| missing.clone())?;
    AmzDate::parse_http_date(value.as_bytes()).ok_or(missing)
}

/// The value of a header that may be sent once, and must be ASCII text.
pub(crate) fn single_header<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        let reason = format!("The {name} header was given more than once.");
        return Err(if name == AUTHORIZATION {
            AuthError::InvalidArgument(reason)
        } else {
            AuthError::InvalidRequest(reason)
        });
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => {
            Err(AuthError::InvalidArgument(format!("The {name} header holds characters that are not ASCII.")))
        }
    }
}

/// The host a request is for: the `Host` header, or HTTP/2's `:authority`. Routing must use this same value, or a
/// request could be signed for one host and served as another.
///
/// # Errors
/// [`AuthError::InvalidRequest`] when there are several, when they disagree, or when one is not ASCII.
pub fn request_host<'a>(head: &RequestHead<'a>) -> Result<Option<&'a str>, AuthError> {
    let header = single_header(head.headers, &HOST)?;
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    match (header, authority) {
        (Some(header), Some(authority)) if !header.eq_ignore_ascii_case(authority) => {
            Err(AuthError::InvalidRequest("The Host header and the request's authority differ.".to_owned()))
        }
        (Some(host), _) | (None, Some(host)) => Ok(Some(host)),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
#[path = "verifier_tests.rs"]
mod tests;
