//! Keys that clients bring along (SSE-C). No error shows any of one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use granary_engine::CustomerKey;
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::{AES256, ALGORITHM};
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};

/// Whether keys of clients may come over this server's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CustomerKeyTransport {
    /// They may not: anybody on the way could read them. AWS refuses them without TLS, too.
    #[default]
    Refused,
    /// The connections are TLS, or somebody before this server sees to it.
    Accepted,
}

/// The three headers that carry a key.
#[derive(Debug)]
pub(crate) struct KeyHeaders {
    pub(crate) algorithm: &'static str,
    pub(crate) key: &'static str,
    pub(crate) md5: &'static str,
}

/// The key of the object that is written or read.
pub(crate) const OF_OBJECT: KeyHeaders = KeyHeaders {
    algorithm: "x-amz-server-side-encryption-customer-algorithm",
    key: "x-amz-server-side-encryption-customer-key",
    md5: "x-amz-server-side-encryption-customer-key-md5",
};

/// The key of the source of a copy.
pub(crate) const OF_SOURCE: KeyHeaders = KeyHeaders {
    algorithm: "x-amz-copy-source-server-side-encryption-customer-algorithm",
    key: "x-amz-copy-source-server-side-encryption-customer-key",
    md5: "x-amz-copy-source-server-side-encryption-customer-key-md5",
};

/// The key in a request's headers, if there is one.
///
/// # Errors
/// `InvalidRequest` without TLS, `InvalidArgument` for a key that is not whole, `InvalidEncryptionAlgorithmError`.
pub(crate) fn of_request(context: &Context<'_>, names: &KeyHeaders) -> S3Result<Option<CustomerKey>> {
    let headers = context.headers();
    if ![names.algorithm, names.key, names.md5].iter().any(|name| headers.contains_key(*name)) {
        return Ok(None);
    }
    if context.shared.config.customer_keys == CustomerKeyTransport::Refused {
        return Err(S3Error::invalid_request(
            "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure \
             connection.",
        ));
    }
    let needs = |what: &str| {
        let message = format!(
            "Requests specifying Server Side Encryption with Customer provided keys must provide {what}."
        );
        S3Error::invalid_argument(ALGORITHM, "null", message)
    };
    match context.header(names.algorithm) {
        Some(AES256) => {}
        Some(_) => return Err(ErrorCode::InvalidEncryptionAlgorithmError.into()),
        None => return Err(needs("a valid encryption algorithm")),
    }
    let key = context.header(names.key).ok_or_else(|| needs("an appropriate secret key"))?;
    let sent =
        context.header(names.md5).ok_or_else(|| needs("the client calculated MD5 of the secret key"))?;
    let invalid = || {
        S3Error::invalid_argument(names.key, "", "The secret key was invalid for the specified algorithm.")
    };
    let bytes = Zeroizing::new(BASE64.decode(key).map_err(|_| invalid())?);
    let parsed = CustomerKey::from_slice(&bytes).ok_or_else(invalid)?;
    if BASE64.encode(Md5::digest(&*bytes)) != sent {
        let message = "The calculated MD5 hash of the key did not match the hash that was provided.";
        return Err(S3Error::invalid_argument(names.md5, sent, message));
    }
    Ok(Some(parsed))
}
