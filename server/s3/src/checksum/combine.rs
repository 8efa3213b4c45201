//! The checksum of a multipart object from those of its parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, checksum_combine};
use granary_types::{Checksum, ChecksumAlgorithm, ChecksumKind};

use super::hasher::{Hasher, decode};
use super::names;
use crate::error::{S3Error, S3Result};

/// The kind an upload gets when its client names only the algorithm.
#[must_use]
pub fn default_kind(algorithm: ChecksumAlgorithm) -> ChecksumKind {
    match algorithm {
        ChecksumAlgorithm::Crc64Nvme => ChecksumKind::FullObject,
        _ => ChecksumKind::Composite,
    }
}

/// Checks that a multipart object can have a checksum of `kind`: only CRCs combine into one of the whole
/// object, and CRC64NVME has no composite form.
///
/// # Errors
/// `InvalidRequest` for the other pairs, as AWS answers.
pub fn check_kind(algorithm: ChecksumAlgorithm, kind: ChecksumKind) -> S3Result<()> {
    let allowed = match (algorithm, kind) {
        (ChecksumAlgorithm::Crc64Nvme, ChecksumKind::Composite) => false,
        (_, ChecksumKind::Composite) => true,
        (algorithm, ChecksumKind::FullObject) => crc(algorithm).is_some(),
    };
    if allowed {
        return Ok(());
    }
    let (kind, algorithm) = (names::kind_value(kind), names::value(algorithm).to_ascii_lowercase());
    Err(S3Error::invalid_request(format!(
        "The {kind} checksum type cannot be used with the {algorithm} checksum algorithm."
    )))
}

fn crc(algorithm: ChecksumAlgorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        _ => None,
    }
}

/// The checksum of an object made of parts with these checksums (base64) and lengths in bytes.
///
/// `None` when a part's checksum cannot be read or the kind does not exist for the algorithm.
#[must_use]
pub fn combine<'a>(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumKind,
    parts: impl Iterator<Item = (&'a str, u64)>,
) -> Option<Checksum> {
    let value = match kind {
        ChecksumKind::Composite => composite(algorithm, parts)?,
        ChecksumKind::FullObject => full_object(algorithm, parts)?,
    };
    Some(Checksum { algorithm, kind, value })
}

fn composite<'a>(
    algorithm: ChecksumAlgorithm,
    parts: impl Iterator<Item = (&'a str, u64)>,
) -> Option<String> {
    let mut hasher = Hasher::new(algorithm);
    let mut count = 0_u32;
    for (value, _) in parts {
        hasher.update(&decode(algorithm, value)?);
        count += 1;
    }
    Some(format!("{}-{count}", hasher.finish_base64()))
}

fn full_object<'a>(
    algorithm: ChecksumAlgorithm,
    parts: impl Iterator<Item = (&'a str, u64)>,
) -> Option<String> {
    let crc = crc(algorithm)?;
    let mut whole: Option<u64> = None;
    for (value, length_bytes) in parts {
        let part = decode(algorithm, value)?.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        whole = Some(match whole {
            None => part,
            Some(before) => checksum_combine(crc, before, part, length_bytes),
        });
    }
    let bytes = whole?.to_be_bytes();
    bytes.get(bytes.len() - names::length_bytes(algorithm)..).map(|bytes| BASE64.encode(bytes))
}

#[cfg(test)]
#[path = "combine_tests.rs"]
mod tests;
