use super::*;

fn sum(algorithm: ChecksumAlgorithm, data: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(data);
    hasher.finish_base64()
}

#[test]
fn crcs_of_parts_combine_into_that_of_the_whole() {
    let data: Vec<u8> = (0_u32..70_001).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let parts: Vec<&[u8]> =
        vec![&data[..30_000], &data[30_000..30_001], &data[30_001..30_001], &data[30_001..]];
    for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme] {
        let sums: Vec<(String, u64)> = parts.iter().map(|p| (sum(algorithm, p), p.len() as u64)).collect();
        let whole =
            combine(algorithm, ChecksumKind::FullObject, sums.iter().map(|(v, n)| (v.as_str(), *n))).unwrap();
        assert_eq!(whole.value, sum(algorithm, &data), "{algorithm:?}");
    }
}

#[test]
fn composite_is_the_checksum_of_checksums_with_their_count() {
    let sums = [sum(ChecksumAlgorithm::Sha256, b"a"), sum(ChecksumAlgorithm::Sha256, b"b")];
    let whole =
        combine(ChecksumAlgorithm::Sha256, ChecksumKind::Composite, sums.iter().map(|v| (v.as_str(), 1)))
            .unwrap();
    let joined: Vec<u8> = sums.iter().flat_map(|v| decode(ChecksumAlgorithm::Sha256, v).unwrap()).collect();
    assert_eq!(whole.value, format!("{}-2", sum(ChecksumAlgorithm::Sha256, &joined)));
}

#[test]
fn only_pairs_that_aws_has_are_allowed() {
    use ChecksumAlgorithm::{Crc32, Crc64Nvme, Sha256, Xxhash3};
    assert!(check_kind(Crc32, ChecksumKind::FullObject).is_ok());
    assert!(check_kind(Crc32, ChecksumKind::Composite).is_ok());
    assert!(check_kind(Crc64Nvme, ChecksumKind::FullObject).is_ok());
    assert!(check_kind(Crc64Nvme, ChecksumKind::Composite).is_err());
    assert!(check_kind(Sha256, ChecksumKind::FullObject).is_err());
    assert!(check_kind(Xxhash3, ChecksumKind::FullObject).is_err());
    assert!(combine(Sha256, ChecksumKind::FullObject, std::iter::empty()).is_none());
    assert!(combine(Crc32, ChecksumKind::FullObject, [("bad", 1)].into_iter()).is_none());
}
