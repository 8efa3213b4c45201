use super::*;
use crate::checksum::names;

fn hex_of(algorithm: ChecksumAlgorithm, chunks: &[&[u8]]) -> String {
    let mut hasher = Hasher::new(algorithm);
    for chunk in chunks {
        hasher.update(chunk);
    }
    hex::encode(hasher.finish())
}

#[test]
fn published_check_values() {
    // The catalogue of parametrised CRCs, FIPS 180 and the xxHash reference implementation (xxhsum).
    for (algorithm, expected) in [
        (ChecksumAlgorithm::Crc32, "cbf43926"),
        (ChecksumAlgorithm::Crc32c, "e3069283"),
        (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
        (ChecksumAlgorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (ChecksumAlgorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        (ChecksumAlgorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
        (ChecksumAlgorithm::Xxhash64, "8cb841db40e6ae83"),
    ] {
        assert_eq!(hex_of(algorithm, &[b"1234", b"", b"56789"]), expected, "{algorithm:?}");
    }
}

#[test]
fn xxhash_of_nothing_matches_the_reference() {
    assert_eq!(hex_of(ChecksumAlgorithm::Xxhash64, &[]), "ef46db3751d8e999");
    assert_eq!(hex_of(ChecksumAlgorithm::Xxhash3, &[]), "2d06800538d394c2");
    assert_eq!(hex_of(ChecksumAlgorithm::Xxhash128, &[]), "99aa06d3014798d86001c324468d497f");
}

#[test]
fn lengths_and_base64_agree_with_the_table() {
    for algorithm in names::ALL.iter().copied() {
        let text = Hasher::new(algorithm).finish_base64();
        assert_eq!(decode(algorithm, &text).map(|bytes| bytes.len()), Some(names::length_bytes(algorithm)));
        assert_eq!(decode(algorithm, "AAAA"), None);
        assert_eq!(decode(algorithm, "not base64!"), None);
        assert_eq!(names::of_header(names::header(algorithm)), Some(algorithm));
        assert_eq!(names::of_value(names::value(algorithm)), Some(algorithm));
        assert_eq!(names::of_element(names::element(algorithm)), Some(algorithm));
    }
}

#[test]
fn chunking_does_not_change_the_result() {
    let data: Vec<u8> = (0_u8..=255).cycle().take(100_000).collect();
    for algorithm in names::ALL.iter().copied() {
        let whole = hex_of(algorithm, &[&data]);
        let (a, b) = data.split_at(33_333);
        assert_eq!(hex_of(algorithm, &[a, b]), whole, "{algorithm:?}");
    }
}
