//! The names of checksum algorithms in headers, XML elements and parameter values.

use granary_types::{ChecksumAlgorithm, ChecksumKind};

macro_rules! names {
    ($($variant:ident: $value:literal, $header:literal, $element:literal, $length_bytes:literal;)+) => {
        /// Every algorithm.
        pub const ALL: &[ChecksumAlgorithm] = &[$(ChecksumAlgorithm::$variant),+];

        /// The name as a parameter value, for example in `x-amz-sdk-checksum-algorithm`.
        #[must_use]
        pub fn value(algorithm: ChecksumAlgorithm) -> &'static str {
            match algorithm { $(ChecksumAlgorithm::$variant => $value),+ }
        }

        /// The header and trailer that carries the checksum.
        #[must_use]
        pub fn header(algorithm: ChecksumAlgorithm) -> &'static str {
            match algorithm { $(ChecksumAlgorithm::$variant => $header),+ }
        }

        /// The XML element that carries the checksum.
        #[must_use]
        pub fn element(algorithm: ChecksumAlgorithm) -> &'static str {
            match algorithm { $(ChecksumAlgorithm::$variant => $element),+ }
        }

        /// The length of the binary checksum.
        #[must_use]
        pub fn length_bytes(algorithm: ChecksumAlgorithm) -> usize {
            match algorithm { $(ChecksumAlgorithm::$variant => $length_bytes),+ }
        }
    };
}

names! {
    Crc32: "CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4;
    Crc32c: "CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4;
    Crc64Nvme: "CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8;
    Sha1: "SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20;
    Sha256: "SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32;
    Sha512: "SHA512", "x-amz-checksum-sha512", "ChecksumSHA512", 64;
    Md5: "MD5", "x-amz-checksum-md5", "ChecksumMD5", 16;
    Xxhash64: "XXHASH64", "x-amz-checksum-xxhash64", "ChecksumXXHASH64", 8;
    Xxhash3: "XXHASH3", "x-amz-checksum-xxhash3", "ChecksumXXHASH3", 8;
    Xxhash128: "XXHASH128", "x-amz-checksum-xxhash128", "ChecksumXXHASH128", 16;
}

/// The algorithm of a parameter value; clients differ in case.
#[must_use]
pub fn of_value(text: &str) -> Option<ChecksumAlgorithm> {
    ALL.iter().copied().find(|algorithm| value(*algorithm).eq_ignore_ascii_case(text))
}

/// The algorithm of a header or trailer name.
#[must_use]
pub fn of_header(name: &str) -> Option<ChecksumAlgorithm> {
    ALL.iter().copied().find(|algorithm| header(*algorithm).eq_ignore_ascii_case(name))
}

/// The algorithm of an XML element name.
#[must_use]
pub fn of_element(name: &str) -> Option<ChecksumAlgorithm> {
    ALL.iter().copied().find(|algorithm| element(*algorithm) == name)
}

/// `FULL_OBJECT` or `COMPOSITE`.
#[must_use]
pub fn kind_value(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::FullObject => "FULL_OBJECT",
        ChecksumKind::Composite => "COMPOSITE",
    }
}

/// The kind of a parameter value.
#[must_use]
pub fn kind_of_value(text: &str) -> Option<ChecksumKind> {
    match text {
        "FULL_OBJECT" => Some(ChecksumKind::FullObject),
        "COMPOSITE" => Some(ChecksumKind::Composite),
        _ => None,
    }
}
