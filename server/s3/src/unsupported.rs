//! Headers that ask for what this server does not do. Ignoring them would store an object without the encryption
//! that its owner believes it has, so they are refused.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{S3Error, S3Result};

/// Refuses a write that carries such a header.
///
/// # Errors
/// `NotImplemented`, naming the header.
pub fn check_write(headers: &HeaderMap) -> S3Result<()> {
    for (name, value) in headers {
        let Some(rest) = name.as_str().strip_prefix("x-amz-") else { continue };
        if !is_honoured(rest) {
            return Err(refusal(name, value));
        }
    }
    Ok(())
}

/// Refuses a read that carries the customer's own encryption key: no object was stored with one.
///
/// # Errors
/// `NotImplemented`, naming the header.
pub fn check_read(headers: &HeaderMap) -> S3Result<()> {
    let customer_key =
        |name: &HeaderName| name.as_str().starts_with("x-amz-server-side-encryption-customer-");
    match headers.iter().find(|(name, _)| customer_key(name)) {
        Some((name, value)) => Err(refusal(name, value)),
        None => Ok(()),
    }
}

fn refusal(name: &HeaderName, value: &HeaderValue) -> S3Error {
    // The key of server-side encryption with customer keys must not come back in the error.
    let shown =
        if name.as_str().ends_with("-customer-key") { "" } else { value.to_str().unwrap_or_default() };
    S3Error::not_implemented(format_args!("The header {name}"))
        .field("Header", name.as_str())
        .field("Value", shown)
}

fn is_honoured(name: &str) -> bool {
    match name {
        "write-offset-bytes" | "annotation-directive" => false,
        _ => !["server-side-encryption", "copy-source-server-side-encryption"]
            .iter()
            .any(|refused| name.starts_with(refused)),
    }
}

#[cfg(test)]
#[path = "unsupported_tests.rs"]
mod tests;
