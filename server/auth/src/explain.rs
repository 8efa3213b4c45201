//! What AWS adds to the error document of a refused request, so that its sender can see what went wrong.
//!
//! The fields hold only what the client sent or could compute itself, and the server's time. A signature computed
//! here is never among them.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::AUTHORIZATION;

use crate::amz_date::AmzDate;
use crate::authorization::{SignatureFields, parse_authorization};
use crate::canonical::{CanonicalRequest, SignedHeaders};
use crate::error::{AccessDeniedReason, AuthError};
use crate::presigned::{PresignedParameters, SIGNATURE_PARAMETER};
use crate::query::CanonicalQuery;
use crate::scope::CredentialScope;
use crate::signing::sha256_hex;
use crate::verifier::{
    CONTENT_SHA256, MAX_SKEW_S, RequestHead, request_date, request_host, single_header, string_to_sign,
};

/// Names and values of XML elements, in AWS's order.
pub type ErrorFields = Vec<(&'static str, String)>;

/// The fields AWS adds for `error`, the refusal of the request `head` at the time `now`.
///
/// Source: the documents AWS sends; "Error responses" (Amazon S3 API Reference) names the elements.
#[must_use]
pub fn explain<'a>(head: impl Into<RequestHead<'a>>, now: SystemTime, error: &AuthError) -> ErrorFields {
    let head = head.into();
    match error {
        AuthError::SignatureDoesNotMatch => mismatch(&head).unwrap_or_default(),
        AuthError::InvalidAccessKeyId => access_key(&head).unwrap_or_default(),
        AuthError::RequestTimeTooSkewed => skew(&head, now),
        AuthError::AccessDenied(AccessDeniedReason::HeadersNotSigned(names)) => {
            vec![("HeadersNotSigned", names.clone())]
        }
        AuthError::AccessDenied(AccessDeniedReason::Expired) => expired(&head, now).unwrap_or_default(),
        _ => ErrorFields::new(),
    }
}

/// A claim as the client made it, in whichever form.
struct Sent<'a> {
    fields: SignatureFields<'a>,
    signed_at: AmzDate,
    payload_hash: &'a str,
    skip_parameter: Option<&'a str>,
}

/// Calls `then` with what the request claims; `None` when that cannot be read.
fn with_claim<T>(head: &RequestHead<'_>, then: impl FnOnce(&Sent<'_>) -> Option<T>) -> Option<T> {
    let sha256 = single_header(head.headers, &CONTENT_SHA256).ok()?;
    if let Some(value) = single_header(head.headers, &AUTHORIZATION).ok()? {
        return then(&Sent {
            fields: parse_authorization(value).ok()?,
            signed_at: request_date(head.headers).ok()?,
            payload_hash: sha256?,
            skip_parameter: None,
        });
    }
    let presigned = PresignedParameters::parse(&CanonicalQuery::parse(head.uri.query())).ok()?;
    then(&Sent {
        fields: SignatureFields {
            scope: CredentialScope::parse(&presigned.credential).ok()?,
            signed_headers: &presigned.signed_headers,
            signature: &presigned.signature,
        },
        signed_at: presigned.signed_at,
        payload_hash: sha256.or(presigned.content_sha256.as_deref()).unwrap_or("UNSIGNED-PAYLOAD"),
        skip_parameter: Some(SIGNATURE_PARAMETER),
    })
}

fn access_key(head: &RequestHead<'_>) -> Option<ErrorFields> {
    with_claim(head, |sent| Some(vec![("AWSAccessKeyId", sent.fields.scope.access_key.to_owned())]))
}

fn mismatch(head: &RequestHead<'_>) -> Option<ErrorFields> {
    let query = CanonicalQuery::parse(head.uri.query());
    with_claim(head, |sent| {
        let canonical = CanonicalRequest {
            method: head.method,
            path: head.uri.path(),
            query: &query,
            skip_parameter: sent.skip_parameter,
            headers: head.headers,
            host: request_host(head).ok()?.unwrap_or_default(),
            signed_headers: SignedHeaders::parse(sent.fields.signed_headers)?,
            payload_hash: sent.payload_hash,
        };
        let canonical = canonical.to_bytes().ok()?;
        let to_sign = string_to_sign(&sent.signed_at, &sent.fields.scope, &sha256_hex(&canonical));
        let mut fields = vec![
            ("AWSAccessKeyId", sent.fields.scope.access_key.to_owned()),
            ("StringToSign", to_sign.clone()),
            ("SignatureProvided", sent.fields.signature.to_owned()),
            ("StringToSignBytes", spaced_hex(to_sign.as_bytes())),
        ];
        // A customer's encryption key in a header must not come back, whoever asks.
        if !head.headers.keys().any(|name| name.as_str().ends_with("-customer-key")) {
            fields.push(("CanonicalRequest", String::from_utf8_lossy(&canonical).into_owned()));
            fields.push(("CanonicalRequestBytes", spaced_hex(&canonical)));
        }
        Some(fields)
    })
}

fn spaced_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        let separator = if out.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = write!(out, "{separator}{byte:02x}");
    }
    out
}

fn skew(head: &RequestHead<'_>, now: SystemTime) -> ErrorFields {
    let mut fields = ErrorFields::new();
    if let Ok(date) = request_date(head.headers) {
        fields.push(("RequestTime", date.as_str().to_owned()));
    }
    fields.push(("ServerTime", iso_time(crate::amz_date::unix_seconds(now))));
    fields.push(("MaxAllowedSkewMilliseconds", (MAX_SKEW_S * 1000).to_string()));
    fields
}

fn expired(head: &RequestHead<'_>, now: SystemTime) -> Option<ErrorFields> {
    let presigned = PresignedParameters::parse(&CanonicalQuery::parse(head.uri.query())).ok()?;
    Some(vec![
        ("X-Amz-Expires", presigned.expires_s.to_string()),
        ("Expires", iso_time(presigned.signed_at.unix_s().saturating_add(presigned.expires_s))),
        ("ServerTime", iso_time(crate::amz_date::unix_seconds(now))),
    ])
}

/// `2013-05-24T00:00:00Z`.
fn iso_time(unix_s: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(unix_s).unwrap_or_else(|_| UNIX_EPOCH.into());
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
