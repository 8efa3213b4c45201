use granary_types::{StorageClass, UnixMillis, WriteId};

use super::*;

const MIB: u64 = 1024 * 1024;
const MD5_A: &str = "0cc175b9c0f1b6a831c399e269772661";
const MD5_B: &str = "92eb5ffee6ae2fec3ad71c777531578f";

fn info(checksum: Option<(ChecksumAlgorithm, ChecksumKind)>) -> UploadInfo {
    UploadInfo {
        initiated: UnixMillis(0),
        owner: String::new(),
        storage_class: StorageClass::Standard,
        checksum,
        encryption: None,
    }
}

fn number(number: u32) -> PartNumber {
    PartNumber::new(number).unwrap()
}

fn stored(
    n: u32,
    etag: &str,
    length_bytes: u64,
    checksum: Option<(ChecksumAlgorithm, &str)>,
) -> UploadedPart {
    UploadedPart {
        number: number(n),
        write: WriteId::from_bytes([0; 16]),
        modified: UnixMillis(0),
        length_bytes,
        etag: Etag::new(etag),
        checksum: checksum.map(|(algorithm, value)| Checksum {
            algorithm,
            kind: ChecksumKind::FullObject,
            value: value.to_owned(),
        }),
    }
}

fn named(n: u32, etag: &str, checksums: &[(ChecksumAlgorithm, &str)]) -> CompletedPart {
    CompletedPart {
        number: number(n),
        etag: etag.to_owned(),
        checksums: checksums.iter().map(|(a, v)| (*a, (*v).to_owned())).collect(),
    }
}

fn choose(named: &[CompletedPart], parts: Vec<UploadedPart>, info: &UploadInfo) -> Result<usize, ErrorCode> {
    let stored = parts.into_iter().map(|part| (part.number, part)).collect();
    let chosen = chosen_parts(named, stored).and_then(|parts| {
        named.iter().zip(&parts).try_for_each(|(name, part)| check_part_checksums(name, part, info))?;
        Ok(parts.len())
    });
    chosen.map_err(|error| error.code())
}

#[test]
fn the_etag_is_the_md5_of_the_md5s() {
    let parts = [stored(1, MD5_A, 1, None), stored(2, MD5_B, 1, None)];
    assert_eq!(
        multipart_etag(parts.iter().map(|part| part.etag.as_str())).unwrap().as_str(),
        "96e024ba2074fe77e8e965ba43a704be-2"
    );
}

#[test]
fn parts_must_exist_with_their_etag_and_be_large_enough() {
    let none = info(None);
    let two = || vec![stored(1, MD5_A, 5 * MIB, None), stored(2, MD5_B, 1, None)];
    assert_eq!(choose(&[named(1, MD5_A, &[]), named(2, MD5_B, &[])], two(), &none), Ok(2));
    assert_eq!(choose(&[named(1, MD5_A, &[])], two(), &none), Ok(1));
    assert_eq!(choose(&[named(3, MD5_A, &[])], two(), &none), Err(ErrorCode::InvalidPart));
    assert_eq!(choose(&[named(1, MD5_B, &[])], two(), &none), Err(ErrorCode::InvalidPart));
    let small = vec![stored(1, MD5_A, 5 * MIB - 1, None), stored(2, MD5_B, 1, None)];
    let both = [named(1, MD5_A, &[]), named(2, MD5_B, &[])];
    assert_eq!(choose(&both, small, &none), Err(ErrorCode::EntityTooSmall));
}

#[test]
fn checksums_of_parts_that_are_named_are_compared() {
    let sha = ChecksumAlgorithm::Sha1;
    let info = info(Some((sha, ChecksumKind::Composite)));
    let one = || vec![stored(1, MD5_A, 1, Some((sha, "x")))];
    assert_eq!(choose(&[named(1, MD5_A, &[(sha, "x")])], one(), &info), Ok(1));
    assert_eq!(choose(&[named(1, MD5_A, &[(sha, "y")])], one(), &info), Err(ErrorCode::InvalidPart));
    assert_eq!(choose(&[named(1, MD5_A, &[])], one(), &info), Ok(1));
}

#[test]
fn the_objects_checksum_and_size_are_compared() {
    let crc = ChecksumAlgorithm::Crc32;
    let computed = Checksum { algorithm: crc, kind: ChecksumKind::Composite, value: "AAAAAA==-2".to_owned() };
    let check = |name: &'static str, value: &'static str| {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static(value),
        )]);
        let parts = [stored(1, MD5_A, 3, None)];
        check_checksum(&headers, Some(&computed))
            .and_then(|()| check_object_size(&headers, &parts))
            .map_err(|error| error.code())
    };
    assert_eq!(check("x-amz-checksum-crc32", "AAAAAA==-2"), Ok(()));
    assert_eq!(check("x-amz-checksum-crc32", "AAAAAA=="), Ok(()));
    assert_eq!(check("x-amz-checksum-crc32", "BAAAAA==-2"), Err(ErrorCode::BadDigest));
    assert_eq!(check("x-amz-checksum-sha1", "AAAAAA=="), Err(ErrorCode::InvalidRequest));
    assert_eq!(check("x-amz-mp-object-size", "3"), Ok(()));
    assert_eq!(check("x-amz-mp-object-size", "4"), Err(ErrorCode::InvalidRequest));
}
