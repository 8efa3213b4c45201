//! The signature of a browser's upload form.
//!
//! What is signed is the form's `policy` field, as it was sent: in Base64. What the policy allows is not looked at
//! here. Signature Version 2 of a policy is HMAC-SHA1 keyed with the secret itself. AWS documents it beside version 4,
//! and it lets in nobody who has not got the secret; other requests may be signed with it only where the operator lets them
//! ([`crate::signature_v2`]).
//!
//! Sources: "Browser-Based Uploads Using POST (AWS Signature Version 4)" (Amazon S3 API Reference), and "HTML forms (AWS
//! signature version 2)" (Amazon S3 Developer Guide).

use std::time::SystemTime;

use crate::amz_date::{AmzDate, unix_seconds};
use crate::authorization::{ALGORITHM, ALGORITHM_SIGV4A, SIGV4A};
use crate::credentials::KeyUse;
use crate::error::{AccessDeniedReason, AuthError};
use crate::payload::PayloadMode;
use crate::scope::{CredentialScope, Service};
use crate::signature_v2::is_signed;
use crate::signing::{Signature, SigningKey};
use crate::verifier::{AuthMethod, MAX_SKEW_S, Verified, Verifier};

/// How long a signing key is good for: seven days.
const SIGNED_FOR_MAX_S: i64 = 7 * 24 * 60 * 60;

/// The fields of a form that sign its policy.
#[derive(Clone, Copy, Debug)]
pub enum FormSignature<'a> {
    /// Signature Version 4.
    V4 {
        /// `x-amz-algorithm`.
        algorithm: &'a str,
        /// `x-amz-credential`.
        credential: &'a str,
        /// `x-amz-date`.
        date: &'a str,
        /// `x-amz-signature`.
        signature: &'a str,
    },
    /// Signature Version 2.
    V2 {
        /// `AWSAccessKeyId`.
        access_key: &'a str,
        /// `signature`.
        signature: &'a str,
    },
}

impl Verifier {
    /// Verifies the signature of a form's `policy` field at the time `now`. `token` is `x-amz-security-token`.
    ///
    /// # Errors
    /// [`AuthError::InvalidArgument`] for fields that are not well formed, [`AuthError::AccessDenied`] for a date that is over
    /// or to come, [`AuthError::InvalidAccessKeyId`], [`AuthError::InvalidToken`],
    /// [`AuthError::ExpiredToken`], [`AuthError::SignatureDoesNotMatch`].
    pub fn verify_form(
        &self,
        policy: &str,
        signature: FormSignature<'_>,
        token: Option<&str>,
        now: SystemTime,
    ) -> Result<Verified, AuthError> {
        let (principal, method, used) = match signature {
            FormSignature::V4 { algorithm, credential, date, signature } => {
                check_algorithm(algorithm)?;
                let scope = CredentialScope::parse(credential).map_err(AuthError::malformed)?;
                scope.check_service(Service::S3).map_err(AuthError::malformed)?;
                check_date(&scope, date, unix_seconds(now))?;
                self.check_region(&scope, AuthMethod::Form)?;
                let known = self.known_key(scope.access_key, token, now)?;
                let key = SigningKey::derive(&known.secret, scope.day, scope.region);
                if Signature::from_hex(signature) != Some(key.sign(policy.as_bytes())) {
                    return Err(AuthError::SignatureDoesNotMatch);
                }
                (known.principal, AuthMethod::Form, (scope.access_key, scope.region))
            }
            FormSignature::V2 { access_key, signature } => {
                let known = self.known_key(access_key, token, now)?;
                if !is_signed(&known.secret, policy.as_bytes(), signature) {
                    return Err(AuthError::SignatureDoesNotMatch);
                }
                (known.principal, AuthMethod::FormV2, (access_key, ""))
            }
        };
        let (access_key, region) = used;
        self.source.used(&KeyUse { access_key, service: Service::S3, region, at: now });
        Ok(Verified { principal, method, payload: PayloadMode::Unsigned })
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), AuthError> {
    match algorithm {
        ALGORITHM => Ok(()),
        ALGORITHM_SIGV4A => Err(AuthError::NotImplemented(SIGV4A)),
        _ => Err(AuthError::InvalidArgument("x-amz-algorithm only supports \"AWS4-HMAC-SHA256\"".to_owned())),
    }
}

/// The policy says until when it is good; the key it is signed with is good for seven days.
fn check_date(scope: &CredentialScope<'_>, date: &str, now_s: i64) -> Result<(), AuthError> {
    let signed_at = AmzDate::parse_iso8601(date.as_bytes()).ok_or_else(|| {
        AuthError::InvalidArgument(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"".to_owned(),
        )
    })?;
    scope.check_day(&signed_at).map_err(AuthError::malformed)?;
    if signed_at.unix_s() > now_s.saturating_add(MAX_SKEW_S) {
        return Err(AuthError::AccessDenied(AccessDeniedReason::NotYetValid));
    }
    if signed_at.unix_s().saturating_add(SIGNED_FOR_MAX_S) < now_s {
        return Err(AuthError::AccessDenied(AccessDeniedReason::Expired));
    }
    Ok(())
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
