//! The `Authorization` header of Signature Version 4.
//!
//! `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=a;b, Signature=hex`; the blanks after the commas are optional.

use crate::error::AuthError;
use crate::scope::CredentialScope;

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(crate) const ALGORITHM_SIGV4A: &str = "AWS4-ECDSA-P256-SHA256";
pub(crate) const SIGV4A: &str = "AWS4-ECDSA-P256-SHA256 (Signature Version 4A)";
pub(crate) const UNSUPPORTED_MECHANISM: &str =
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";

const THREE_COMPONENTS: &str =
    "the authorization header requires three components: Credential, SignedHeaders, and Signature.";

/// The three parts every form of the signature has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignatureFields<'a> {
    pub(crate) scope: CredentialScope<'a>,
    pub(crate) signed_headers: &'a str,
    pub(crate) signature: &'a str,
}

/// Parses the header's value. Unknown and repeated components are refused.
pub(crate) fn parse_authorization(value: &str) -> Result<SignatureFields<'_>, AuthError> {
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    match scheme {
        ALGORITHM => {}
        ALGORITHM_SIGV4A => return Err(AuthError::NotImplemented(SIGV4A)),
        "AWS" => return Err(AuthError::InvalidRequest(UNSUPPORTED_MECHANISM.to_owned())),
        _ => return Err(AuthError::InvalidArgument("Unsupported Authorization Type".to_owned())),
    }
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for part in rest.split(',') {
        let Some((name, value)) = part.trim().split_once('=') else {
            return Err(AuthError::malformed(THREE_COMPONENTS));
        };
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(AuthError::malformed(THREE_COMPONENTS)),
        };
        if slot.replace(value).is_some() {
            return Err(AuthError::malformed(THREE_COMPONENTS));
        }
    }
    let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature)
    else {
        return Err(AuthError::malformed(THREE_COMPONENTS));
    };
    let scope = CredentialScope::parse(credential).map_err(AuthError::malformed)?;
    Ok(SignatureFields { scope, signed_headers, signature })
}
