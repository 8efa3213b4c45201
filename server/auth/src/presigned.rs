//! Presigned URLs: the signature and its parameters are in the query string.
//!
//! Source: "Authenticating Requests: Using Query Parameters" (Amazon S3 API Reference).

use crate::amz_date::AmzDate;
use crate::authorization::{ALGORITHM, ALGORITHM_SIGV4A, SIGV4A};
use crate::error::{AccessDeniedReason, AuthError};
use crate::query::{CanonicalQuery, Lookup};

pub(crate) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";
/// AWS's longest validity: seven days.
const MAX_EXPIRES_S: i64 = 604_800;

const MISSING: &str = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                       X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";

/// The parameters of a presigned URL, decoded.
#[derive(Debug)]
pub(crate) struct PresignedParameters {
    pub(crate) credential: String,
    pub(crate) signed_headers: String,
    pub(crate) signature: String,
    pub(crate) signed_at: AmzDate,
    pub(crate) expires_s: i64,
    /// `X-Amz-Content-Sha256`, which some signers put into the URL.
    pub(crate) content_sha256: Option<String>,
    /// The session token of temporary credentials.
    pub(crate) token: Option<String>,
}

/// Whether any parameter says that this URL is meant to be a presigned one.
pub(crate) fn is_presigned(query: &CanonicalQuery<'_>) -> bool {
    ["X-Amz-Algorithm", "X-Amz-Credential", SIGNATURE_PARAMETER].iter().any(|name| query.contains(name))
}

/// Signature Version 2's presigned form, which is answered as such and not as an anonymous request.
pub(crate) fn is_presigned_v2(query: &CanonicalQuery<'_>) -> bool {
    query.contains("AWSAccessKeyId") && query.contains("Signature")
}

impl PresignedParameters {
    pub(crate) fn parse(query: &CanonicalQuery<'_>) -> Result<Self, AuthError> {
        match query.get("X-Amz-Algorithm") {
            Lookup::Once(algorithm) if algorithm == ALGORITHM => {}
            Lookup::Once(algorithm) if algorithm == ALGORITHM_SIGV4A => {
                return Err(AuthError::NotImplemented(SIGV4A));
            }
            Lookup::Once(_) => {
                return Err(refuse("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
            }
            Lookup::Absent | Lookup::Repeated => return Err(refuse(MISSING)),
        }
        let token = match query.get("X-Amz-Security-Token") {
            Lookup::Absent => None,
            Lookup::Once(token) => Some(token),
            Lookup::Repeated => return Err(AuthError::InvalidToken),
        };
        let credential = required(query, "X-Amz-Credential")?;
        let signature = required(query, SIGNATURE_PARAMETER)?;
        let signed_headers = required(query, "X-Amz-SignedHeaders")?;
        let date = required(query, "X-Amz-Date")?;
        let signed_at = AmzDate::parse_iso8601(date.as_bytes()).ok_or_else(|| {
            refuse("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        })?;
        let expires_s = parse_expires(&required(query, "X-Amz-Expires")?)?;
        let content_sha256 = match query.get("X-Amz-Content-Sha256") {
            Lookup::Absent => None,
            Lookup::Once(value) => Some(value),
            Lookup::Repeated => return Err(refuse("X-Amz-Content-Sha256 must be given once")),
        };
        Ok(Self { credential, signed_headers, signature, signed_at, expires_s, content_sha256, token })
    }

    /// Checks the time of validity against `now_s`, seconds since the Unix epoch; `skew_s` is the tolerance for a
    /// client whose clock is ahead.
    pub(crate) fn check_time(&self, now_s: i64, skew_s: i64) -> Result<(), AuthError> {
        if self.signed_at.unix_s() > now_s.saturating_add(skew_s) {
            return Err(AuthError::AccessDenied(AccessDeniedReason::NotYetValid));
        }
        // What is valid for no time at all has expired, however the clocks are.
        if self.expires_s < 1 || now_s > self.signed_at.unix_s().saturating_add(self.expires_s) {
            return Err(AuthError::AccessDenied(AccessDeniedReason::Expired));
        }
        Ok(())
    }
}

fn required(query: &CanonicalQuery<'_>, name: &str) -> Result<String, AuthError> {
    match query.get(name) {
        Lookup::Once(value) if !value.is_empty() => Ok(value),
        _ => Err(refuse(MISSING)),
    }
}

fn parse_expires(text: &str) -> Result<i64, AuthError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refuse("X-Amz-Expires should be a number"));
    }
    match text.parse::<i64>() {
        Ok(seconds) if seconds <= MAX_EXPIRES_S => Ok(seconds),
        _ => Err(refuse(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be \
             less than 604800 seconds",
        )),
    }
}

fn refuse(reason: &str) -> AuthError {
    AuthError::AuthorizationQueryParametersError(reason.to_owned())
}
