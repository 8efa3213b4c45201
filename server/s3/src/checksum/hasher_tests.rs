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
        (
            ChecksumAlgorithm::Sha512,
            "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a\
             d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
        ),
        (ChecksumAlgorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
        (ChecksumAlgorithm::Xxhash64, "8cb841db40e6ae83"),
        (ChecksumAlgorithm::Xxhash3, "72dcb18b67a17dff"),
        (ChecksumAlgorithm::Xxhash128, "33119477ede5dcd5e9716427681d5860"),
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
fn sha512_of_the_example_of_fips_180() {
    let expected = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                    2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    assert_eq!(hex_of(ChecksumAlgorithm::Sha512, &[b"abc"]), expected);
}

/// The bytes that xxHash's own sanity check hashes (`fillTestBuffer` of its `tests/sanity_test.c`).
fn sanity_buffer(length: usize) -> Vec<u8> {
    let mut generator = 2_654_435_761_u64;
    let next = || {
        let [most, ..] = generator.to_be_bytes();
        generator = generator.wrapping_mul(11_400_714_785_074_694_797);
        most
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Each way that the hashes take by length: up to 3, 8, 16, 128 and 240 bytes, and stripes, blocks and their rests.
#[test]
fn xxhash_matches_the_vectors_of_its_own_sanity_check() {
    for (length, xxh64, xxh3, xxh128) in [
        (1, "e934a84adb052768", "c44bdff4074eecdb", "a6cd5e9392000f6ac44bdff4074eecdb"),
        (6, "c72565b7154268a8", "27b56a84cd2d7325", "082afe0b8162d12a3e7039bdda43cfc6"),
        (12, "0723bf50086ead9a", "a713daf0dfbb77e7", "6e3efd8fc7802b18061a192713f69ad9"),
        (24, "f75a6dea42dc5bf4", "a3fe70bf9d3510eb", "0ce966e4678d37611e7044d28b1b901d"),
        (48, "fd0feeac7a939933", "397da259ecba1f11", "a002ac4e5478227ef942219aed80f67b"),
        (80, "99bd5d25eb211099", "bcdefbbb2c47c90a", "fdf2cefde9eaac8a454ae6bf7a8a532d"),
        (195, "52b73ecdb3ef30e4", "cd94217ee362ec3a", "7729543a26b207ee3fb593c086a66075"),
        (222, "b641ae8cb691c174", "b9163b558664d356", "337e09641b948717f1aebd597cec6b3a"),
        (403, "d99858fee82283df", "cdeb804d65c6dea4", "1b6de21e332dd73dcdeb804d65c6dea4"),
        (512, "4358d2fdd62b58a7", "617e49599013cb6b", "18d2d110dcc9bca1617e49599013cb6b"),
        (2048, "5940f2752bc04387", "dd59e2c3a5f038e0", "f736557fd47073a5dd59e2c3a5f038e0"),
        (2240, "a4edb3c85b99b1d9", "6e73a90539cf2948", "ccb134fbfa7ce49d6e73a90539cf2948"),
        (2367, "a82418ddec0ea581", "cb37aeb9e5d361ed", "e89c0f6ff369b427cb37aeb9e5d361ed"),
    ] {
        let data = sanity_buffer(length);
        let (first, rest) = data.split_at(length / 3);
        for chunks in [&[data.as_slice()][..], &[first, rest][..]] {
            assert_eq!(hex_of(ChecksumAlgorithm::Xxhash64, chunks), xxh64, "{length} bytes");
            assert_eq!(hex_of(ChecksumAlgorithm::Xxhash3, chunks), xxh3, "{length} bytes");
            assert_eq!(hex_of(ChecksumAlgorithm::Xxhash128, chunks), xxh128, "{length} bytes");
        }
    }
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
