//! One checksum computed over a stream.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use granary_types::ChecksumAlgorithm;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use twox_hash::{XxHash3_64, XxHash3_128, XxHash64};

/// A running checksum. The hash states are boxed where they are large, so that a request that needs none of
/// them stays small.
pub enum Hasher {
    /// CRC-32 (ISO-HDLC), CRC-32C or CRC-64/NVME, with the width of its result.
    Crc(Box<Crc>, CrcWidth),
    /// SHA-1.
    Sha1(Box<Sha1>),
    /// SHA-256.
    Sha256(Box<Sha256>),
    /// SHA-512.
    Sha512(Box<Sha512>),
    /// MD5.
    Md5(Box<Md5>),
    /// XXH64 with seed 0.
    Xxhash64(Box<XxHash64>),
    /// XXH3 of 64 bits with seed 0.
    Xxhash3(Box<XxHash3_64>),
    /// XXH3 of 128 bits with seed 0.
    Xxhash128(Box<XxHash3_128>),
}

/// The width of a CRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcWidth {
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Crc(..) => "Hasher::Crc",
            Self::Sha1(_) => "Hasher::Sha1",
            Self::Sha256(_) => "Hasher::Sha256",
            Self::Sha512(_) => "Hasher::Sha512",
            Self::Md5(_) => "Hasher::Md5",
            Self::Xxhash64(_) => "Hasher::Xxhash64",
            Self::Xxhash3(_) => "Hasher::Xxhash3",
            Self::Xxhash128(_) => "Hasher::Xxhash128",
        })
    }
}

impl Hasher {
    /// A checksum of nothing yet.
    #[must_use]
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |algorithm, width| Self::Crc(Box::new(Crc::new(algorithm)), width);
        match algorithm {
            ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc, CrcWidth::Bits32),
            ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi, CrcWidth::Bits32),
            ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme, CrcWidth::Bits64),
            ChecksumAlgorithm::Sha1 => Self::Sha1(Box::default()),
            ChecksumAlgorithm::Sha256 => Self::Sha256(Box::default()),
            ChecksumAlgorithm::Sha512 => Self::Sha512(Box::default()),
            ChecksumAlgorithm::Md5 => Self::Md5(Box::default()),
            ChecksumAlgorithm::Xxhash64 => Self::Xxhash64(Box::new(XxHash64::with_seed(0))),
            ChecksumAlgorithm::Xxhash3 => Self::Xxhash3(Box::new(XxHash3_64::with_seed(0))),
            ChecksumAlgorithm::Xxhash128 => Self::Xxhash128(Box::new(XxHash3_128::with_seed(0))),
        }
    }

    /// Adds `data`.
    pub fn update(&mut self, data: &[u8]) {
        match self {
            Self::Crc(crc, _) => crc.update(data),
            Self::Sha1(sha) => sha.update(data),
            Self::Sha256(sha) => sha.update(data),
            Self::Sha512(sha) => sha.update(data),
            Self::Md5(md5) => md5.update(data),
            Self::Xxhash64(xxh) => std::hash::Hasher::write(&mut **xxh, data),
            Self::Xxhash3(xxh) => std::hash::Hasher::write(&mut **xxh, data),
            Self::Xxhash128(xxh) => xxh.write(data),
        }
    }

    /// The checksum in big-endian bytes, as S3 encodes it.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(crc, CrcWidth::Bits32) => crc.finalize().to_be_bytes().into_iter().skip(4).collect(),
            Self::Crc(crc, CrcWidth::Bits64) => crc.finalize().to_be_bytes().to_vec(),
            Self::Sha1(sha) => sha.finalize().to_vec(),
            Self::Sha256(sha) => sha.finalize().to_vec(),
            Self::Sha512(sha) => sha.finalize().to_vec(),
            Self::Md5(md5) => md5.finalize().to_vec(),
            Self::Xxhash64(xxh) => std::hash::Hasher::finish(&*xxh).to_be_bytes().to_vec(),
            Self::Xxhash3(xxh) => std::hash::Hasher::finish(&*xxh).to_be_bytes().to_vec(),
            Self::Xxhash128(xxh) => xxh.finish_128().to_be_bytes().to_vec(),
        }
    }

    /// The checksum in base64.
    #[must_use]
    pub fn finish_base64(self) -> String {
        BASE64.encode(self.finish())
    }
}

/// Decodes a base64 checksum and checks its length.
#[must_use]
pub fn decode(algorithm: ChecksumAlgorithm, text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text).ok()?;
    (bytes.len() == super::names::length_bytes(algorithm)).then_some(bytes)
}

#[cfg(test)]
#[path = "hasher_tests.rs"]
mod tests;
