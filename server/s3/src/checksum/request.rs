//! Which checksum a request carries: in a header, in a trailer, or none.

use granary_types::{ChecksumAlgorithm, ChecksumKind};
use http::HeaderMap;

use super::hasher::decode;
use super::names;
use crate::error::{ErrorCode, S3Error, S3Result};

/// Where the value to compare with comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The header gave it.
    Value(Vec<u8>),
    /// The trailer of an aws-chunked body will give it.
    Trailer,
}

/// The checksum a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedChecksum {
    /// Its algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Its value.
    pub expected: Expected,
}

/// Reads `x-amz-checksum-<algorithm>`, `x-amz-trailer` and `x-amz-sdk-checksum-algorithm`.
///
/// # Errors
/// `InvalidRequest` for more than one checksum, an unknown algorithm, an unknown trailer, or an algorithm announced
/// without its value; `BadDigest` for a value that the algorithm does not give.
pub fn of_headers(headers: &HeaderMap) -> S3Result<Option<RequestedChecksum>> {
    let mut found = None;
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-checksum-") {
            continue;
        }
        if matches!(name, "x-amz-checksum-algorithm" | "x-amz-checksum-type" | "x-amz-checksum-mode") {
            continue;
        }
        // Ignoring a checksum would let its sender believe that it was compared.
        let algorithm = names::of_header(name).ok_or_else(|| {
            S3Error::invalid_request("The algorithm type you specified in x-amz-checksum- header is invalid.")
        })?;
        let decoded = value.to_str().ok().and_then(|value| decode(algorithm, value.trim()));
        let bytes = decoded.ok_or_else(|| {
            // No body has a checksum like that.
            let message = format!("The value of {name} is no checksum of that algorithm.");
            S3Error::with_message(ErrorCode::BadDigest, message)
        })?;
        add(&mut found, RequestedChecksum { algorithm, expected: Expected::Value(bytes) })?;
    }
    if let Some(trailer) = headers.get("x-amz-trailer") {
        let names = trailer.to_str().unwrap_or_default();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let algorithm = names::of_header(name).ok_or_else(|| {
                S3Error::invalid_request("The value specified in the x-amz-trailer header is not supported")
            })?;
            add(&mut found, RequestedChecksum { algorithm, expected: Expected::Trailer })?;
        }
    }
    check_announced(headers, found.as_ref())?;
    Ok(found)
}

fn add(found: &mut Option<RequestedChecksum>, checksum: RequestedChecksum) -> S3Result<()> {
    if found.replace(checksum).is_some() {
        return Err(S3Error::invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    Ok(())
}

fn check_announced(headers: &HeaderMap, found: Option<&RequestedChecksum>) -> S3Result<()> {
    let Some(announced) = headers.get("x-amz-sdk-checksum-algorithm") else { return Ok(()) };
    let algorithm =
        announced.to_str().ok().and_then(|text| names::of_value(text.trim())).ok_or_else(|| {
            S3Error::invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")
        })?;
    match found {
        Some(found) if found.algorithm == algorithm => Ok(()),
        Some(_) => Err(S3Error::invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")),
        None => Err(S3Error::invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer \
             headers were found.",
        )),
    }
}

/// Reads `x-amz-checksum-algorithm` (of CreateMultipartUpload and CopyObject).
///
/// # Errors
/// `InvalidRequest` for an unknown algorithm.
pub fn algorithm_header(headers: &HeaderMap) -> S3Result<Option<ChecksumAlgorithm>> {
    let Some(value) = headers.get("x-amz-checksum-algorithm") else { return Ok(None) };
    let algorithm = value.to_str().ok().and_then(|text| names::of_value(text.trim()));
    algorithm.map(Some).ok_or_else(|| {
        S3Error::invalid_request("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128]")
    })
}

/// Reads `x-amz-checksum-type`.
///
/// # Errors
/// `InvalidRequest` for a value other than `FULL_OBJECT` and `COMPOSITE`.
pub fn kind_header(headers: &HeaderMap) -> S3Result<Option<ChecksumKind>> {
    let Some(value) = headers.get("x-amz-checksum-type") else { return Ok(None) };
    let kind = value.to_str().ok().and_then(|text| names::kind_of_value(text.trim()));
    kind.map(Some).ok_or_else(|| S3Error::invalid_request("Value for x-amz-checksum-type header is invalid."))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
