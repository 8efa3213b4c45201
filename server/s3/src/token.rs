//! Continuation tokens: where the next page of a listing begins, opaque to the client.
//!
//! A token is a version byte, a CRC-32C of all that follows and of the listing it belongs to, and the key to go
//! on after, in URL-safe base64. The checksum catches tokens that were cut, changed or sent to another listing; it
//! is no secret, as a client may begin a listing anywhere with `start-after`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{S3Error, S3Result};

const VERSION: u8 = 1;

/// Makes the token for going on after `after` in the listing that `scope` names (for example its bucket).
#[must_use]
pub fn encode(scope: &str, after: &str) -> String {
    let mut bytes = Vec::with_capacity(5 + after.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&checksum(scope, after).to_be_bytes());
    bytes.extend_from_slice(after.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token.
///
/// # Errors
/// `InvalidArgument` when it was not made by [`encode`] for this listing.
pub fn decode(scope: &str, token: &str) -> S3Result<String> {
    parse(scope, token).ok_or_else(|| {
        S3Error::invalid_argument("continuation-token", token, "The continuation token provided is incorrect")
    })
}

fn parse(scope: &str, token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (version, rest) = bytes.split_first()?;
    let (sum, after) = rest.split_first_chunk::<4>()?;
    let after = std::str::from_utf8(after).ok()?;
    (*version == VERSION && u32::from_be_bytes(*sum) == checksum(scope, after)).then(|| after.to_owned())
}

fn checksum(scope: &str, after: &str) -> u32 {
    let mut input = Vec::with_capacity(scope.len() + after.len() + 1);
    input.extend_from_slice(scope.as_bytes());
    input.push(0);
    input.extend_from_slice(after.as_bytes());
    crc_fast::crc32_iscsi(&input)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
