//! Signature Version 2 of whole requests: HMAC-SHA1, keyed with the secret itself.
//!
//! AWS has retired it, and it covers less of a request than version 4 does: not the body, not the host, few headers and only
//! some parameters of the query. So it is verified only where the operator lets it, and what its signature does not cover
//! must not choose what is done: a parameter that it leaves out is refused. What it does cover is checked in full, in
//! constant time.
//!
//! Source: "Signing and authenticating REST requests (AWS signature version 2)" (Amazon S3 API Reference).

use std::borrow::Cow;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName};
use percent_encoding::percent_decode_str;
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::amz_date::{AmzDate, unix_seconds};
use crate::authorization::UNSUPPORTED_MECHANISM;
use crate::credentials::{KeyUse, SecretKey};
use crate::error::{AccessDeniedReason, AuthError};
use crate::payload::{PayloadKind, PayloadMode};
use crate::scope::Service;
use crate::verifier::{
    AMZ_DATE, AuthMethod, CONTENT_SHA256, MAX_SKEW_S, ONE_MECHANISM, RequestHead, SECURITY_TOKEN, Verified,
    Verifier, single_header, token_header,
};

const SCHEME: &str = "AWS ";
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

const ACCESS_KEY: &str = "AWSAccessKeyId";
const SIGNATURE: &str = "Signature";
const EXPIRES: &str = "Expires";
const TOKEN: &str = "x-amz-security-token";

/// The parameters that a signature covers, sorted. They are those that version 2 knew of, so that operations that came
/// later cannot be asked for.
const COVERED: [&str; 30] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// The parameters that choose a page of a listing and nothing else. A request that is signed in its header may have them.
const PAGING: [&str; 15] = [
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
];

/// What SDKs name the operation by, for whoever reads logs.
const OPERATION: &str = "x-id";

/// What a request says of its signature.
struct Claim<'a> {
    method: AuthMethod,
    access_key: Cow<'a, str>,
    signature: Cow<'a, str>,
    token: Option<Cow<'a, str>>,
    /// The line of the date, which is the time of expiry in a presigned URL.
    date: Cow<'a, str>,
}

/// The parameters of a query, in the order they were sent, decoded; a value is absent where there is no `=`.
struct Parameters<'a>(Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>);

impl<'a> Parameters<'a> {
    fn parse(query: Option<&'a str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| match pair.split_once('=') {
                    Some((name, value)) => (decode(name), Some(decode(value))),
                    None => (decode(pair), None),
                })
                .collect(),
        )
    }

    /// The value of a parameter that is given once.
    fn once(&self, name: &str) -> Result<Option<Cow<'a, str>>, AuthError> {
        let mut found = self.0.iter().filter(|(own, _)| own == name);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => Ok(Some(value.clone().unwrap_or_default())),
            (Some(_), Some(_)) => Err(AuthError::InvalidRequest(format!("{name} was given more than once."))),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        // A blank; it takes another pass, which few requests need.
        let blanks = text.replace('+', "%20");
        return Cow::Owned(percent_decode_str(&blanks).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

/// Whether a request claims a signature of version 2.
#[must_use]
pub fn is_signed_v2<'a>(head: impl Into<RequestHead<'a>>) -> bool {
    let head = head.into();
    let authorization = head.headers.get(AUTHORIZATION);
    let by_header = authorization.is_some_and(|value| value.as_bytes().starts_with(SCHEME.as_bytes()));
    let parameters = Parameters::parse(head.uri.query());
    by_header || parameters.has(ACCESS_KEY) && parameters.has(SIGNATURE)
}

impl Verifier {
    /// Verifies a request that is signed with version 2, at the time `now`. `bucket` is the one that the host names, if it
    /// names one.
    ///
    /// # Errors
    /// [`AuthError::InvalidRequest`] for parameters that the signature does not cover and for headers that are not well
    /// formed, [`AuthError::InvalidArgument`] for two signatures, [`AuthError::AccessDenied`] for a date that is missing or
    /// over, [`AuthError::RequestTimeTooSkewed`], [`AuthError::InvalidAccessKeyId`], [`AuthError::InvalidToken`],
    /// [`AuthError::ExpiredToken`], [`AuthError::SignatureDoesNotMatch`].
    pub fn verify_v2<'a>(
        &self,
        head: impl Into<RequestHead<'a>>,
        bucket: Option<&str>,
        now: SystemTime,
    ) -> Result<Verified, AuthError> {
        let head = head.into();
        let parameters = Parameters::parse(head.uri.query());
        let claim = match single_header(head.headers, &AUTHORIZATION)? {
            Some(_) if parameters.has(SIGNATURE) || parameters.has("X-Amz-Signature") => {
                return Err(AuthError::InvalidArgument(ONE_MECHANISM.to_owned()));
            }
            Some(value) => by_header(&head, value, now)?,
            None => presigned(&head, &parameters, now)?,
        };
        check_parameters(&parameters, claim.method)?;
        let payload = payload(head.headers)?;
        let known = self.known_key(&claim.access_key, claim.token.as_deref(), now)?;
        let text = string_to_sign(&head, &parameters, bucket, &claim)?;
        if !is_signed(&known.secret, &text, &claim.signature) {
            return Err(AuthError::SignatureDoesNotMatch);
        }
        // It names no region.
        let (access_key, region) = (&*claim.access_key, "");
        self.source.used(&KeyUse { access_key, service: Service::S3, region, at: now });
        Ok(Verified { principal: known.principal, method: claim.method, payload })
    }
}

fn by_header<'a>(head: &RequestHead<'a>, value: &'a str, now: SystemTime) -> Result<Claim<'a>, AuthError> {
    let unsupported = || AuthError::InvalidRequest(UNSUPPORTED_MECHANISM.to_owned());
    let malformed = || {
        let message = "AWS authorization header is invalid. Expected AwsAccessKeyId:signature";
        AuthError::InvalidArgument(message.to_owned())
    };
    let fields = value.strip_prefix(SCHEME).ok_or_else(unsupported)?;
    let (access_key, signature) = fields.trim().rsplit_once(':').ok_or_else(malformed)?;
    let sent = single_header(head.headers, &AMZ_DATE)?;
    let date = single_header(head.headers, &DATE)?;
    let missing = || AuthError::AccessDenied(AccessDeniedReason::MissingDate);
    let signed_at = sent.or(date).ok_or_else(missing)?;
    let signed_at = AmzDate::parse_http_date(signed_at.as_bytes()).ok_or_else(missing)?;
    if signed_at.unix_s().abs_diff(unix_seconds(now)) > MAX_SKEW_S.unsigned_abs() {
        return Err(AuthError::RequestTimeTooSkewed);
    }
    Ok(Claim {
        method: AuthMethod::HeaderV2,
        access_key: access_key.into(),
        signature: signature.into(),
        token: token_header(head)?.map(Cow::from),
        // The other header is among the x-amz- ones.
        date: if sent.is_some() { Cow::from("") } else { date.unwrap_or_default().into() },
    })
}

fn presigned<'a>(
    head: &RequestHead<'_>,
    parameters: &Parameters<'a>,
    now: SystemTime,
) -> Result<Claim<'a>, AuthError> {
    let missing = || AuthError::AccessDenied(AccessDeniedReason::IncompleteV2);
    let access_key = parameters.once(ACCESS_KEY)?.ok_or_else(missing)?;
    let signature = parameters.once(SIGNATURE)?.ok_or_else(missing)?;
    let expires = parameters.once(EXPIRES)?.ok_or_else(missing)?;
    // In the string to sign it stands as it was sent.
    let digits = expires.bytes().all(|byte| byte.is_ascii_digit());
    let until_s: i64 = expires.parse().ok().filter(|_| digits).ok_or_else(missing)?;
    if unix_seconds(now) > until_s {
        return Err(AuthError::AccessDenied(AccessDeniedReason::Expired));
    }
    if head.headers.contains_key(SECURITY_TOKEN) {
        return Err(AuthError::InvalidToken);
    }
    Ok(Claim {
        method: AuthMethod::PresignedV2,
        access_key,
        signature,
        token: parameters.once(TOKEN)?,
        date: expires,
    })
}

/// Refuses parameters that the signature does not cover.
fn check_parameters(parameters: &Parameters<'_>, method: AuthMethod) -> Result<(), AuthError> {
    let own: &[&str] = match method {
        AuthMethod::PresignedV2 => &[ACCESS_KEY, SIGNATURE, EXPIRES, TOKEN],
        _ => &PAGING,
    };
    let is_own = |name: &str| own.contains(&name) || name == OPERATION;
    // Values are signed decoded, so that an ampersand in one would read like another parameter.
    let is_clear = |value: &Option<Cow<'_, str>>| !value.as_deref().unwrap_or_default().contains('&');
    let is_covered = |name: &str, value| COVERED.binary_search(&name).is_ok() && is_clear(value);
    match parameters.0.iter().find(|(name, value)| !is_own(name) && !is_covered(name, value)) {
        None => Ok(()),
        Some((name, _)) => Err(AuthError::InvalidRequest(format!(
            "Signature Version 2 does not cover the query parameter {name:?}. Please use AWS4-HMAC-SHA256."
        ))),
    }
}

fn payload(headers: &HeaderMap) -> Result<PayloadMode, AuthError> {
    let Some(value) = single_header(headers, &CONTENT_SHA256)? else { return Ok(PayloadMode::Unsigned) };
    match PayloadKind::parse(value)? {
        PayloadKind::Signed(sha256) => Ok(PayloadMode::Signed(sha256)),
        PayloadKind::Unsigned => Ok(PayloadMode::Unsigned),
        PayloadKind::StreamingUnsignedTrailer => Ok(PayloadMode::StreamingUnsignedTrailer),
        PayloadKind::StreamingSigned(_) => {
            Err(AuthError::InvalidRequest("A signed streaming payload needs Signature Version 4.".to_owned()))
        }
    }
}

fn string_to_sign(
    head: &RequestHead<'_>,
    parameters: &Parameters<'_>,
    bucket: Option<&str>,
    claim: &Claim<'_>,
) -> Result<Vec<u8>, AuthError> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b'\n');
    for name in [CONTENT_MD5, CONTENT_TYPE] {
        out.extend_from_slice(single_header(head.headers, &name)?.unwrap_or_default().as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(claim.date.as_bytes());
    out.push(b'\n');
    write_amz_headers(head.headers, claim, &mut out);
    if let Some(bucket) = bucket {
        out.push(b'/');
        out.extend_from_slice(bucket.as_bytes());
    }
    let path = head.uri.path();
    out.extend_from_slice(path.as_bytes());
    // A bucket alone is signed with a slash behind it, sent or not; it names the same.
    if bucket.is_none() && path.len() > 1 && path.rfind('/') == Some(0) {
        out.push(b'/');
    }
    write_subresources(parameters, &mut out);
    Ok(out)
}

/// Every `x-amz-` header, sorted, each with all its values in one line.
fn write_amz_headers(headers: &HeaderMap, claim: &Claim<'_>, out: &mut Vec<u8>) {
    let mut names: Vec<&str> =
        headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-")).collect();
    // A presigned URL carries the token in its query, and signs it as the header that it stands for.
    let in_query = claim.token.as_deref().filter(|_| claim.method == AuthMethod::PresignedV2);
    names.extend(in_query.map(|_| TOKEN));
    names.sort_unstable();
    for name in names {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        let values = headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii());
        let values = values.chain(in_query.filter(|_| name == TOKEN).map(str::as_bytes));
        for (nth, value) in values.enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            out.extend_from_slice(value);
        }
        out.push(b'\n');
    }
}

fn write_subresources(parameters: &Parameters<'_>, out: &mut Vec<u8>) {
    let mut covered: Vec<_> =
        parameters.0.iter().filter(|(name, _)| COVERED.binary_search(&name.as_ref()).is_ok()).collect();
    covered.sort();
    for (nth, (name, value)) in covered.into_iter().enumerate() {
        out.push(if nth == 0 { b'?' } else { b'&' });
        out.extend_from_slice(name.as_bytes());
        if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
    }
}

/// Whether `signature` is the Base64 of the text's HMAC-SHA1.
pub(crate) fn is_signed(secret: &SecretKey, text: &[u8], signature: &str) -> bool {
    // HMAC accepts keys of every length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()) else { return false };
    mac.update(text);
    let computed: [u8; 20] = mac.finalize().into_bytes().into();
    let given = BASE64.decode(signature).ok().and_then(|given| <[u8; 20]>::try_from(given).ok());
    given.is_some_and(|given| computed.ct_eq(&given).into())
}

#[cfg(test)]
#[path = "signature_v2_tests.rs"]
mod tests;
