use proptest::prelude::*;

use super::*;
use crate::credentials::SecretKey;
use crate::signing::SigningKey;

const SUM: &str = "x-amz-checksum-crc32";

fn chain() -> StreamingSignature {
    let key = SigningKey::derive(&SecretKey::new("secret"), "20130524", "us-east-1");
    let seed = key.sign(b"seed");
    StreamingSignature::new(seed, key, "20130524T000000Z", "20130524/us-east-1/s3/aws4_request")
}

/// Frames `chunks` as a client does; signed if there is a chain.
fn encode(chunks: &[Vec<u8>], mut chain: Option<StreamingSignature>, trailer: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in chunks.iter().map(Vec::as_slice).chain([&[][..]]) {
        let extension = chain.as_mut().map_or_else(String::new, |chain| {
            format!(";chunk-signature={}", chain.next_chunk(&Sha256::digest(chunk).into()).to_hex())
        });
        out.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        if !chunk.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
    }
    if let Some(value) = trailer {
        out.extend_from_slice(format!("{SUM}:{value}\r\n").as_bytes());
        if let Some(chain) = chain {
            let signature = chain.trailer(format!("{SUM}:{value}\n").as_bytes()).to_hex();
            out.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn decode_with(
    mut decoder: ChunkedDecoder,
    body: &[u8],
    cuts: &[usize],
) -> Result<(Vec<u8>, Trailers), AuthError> {
    let mut out = Vec::new();
    let mut body = Bytes::copy_from_slice(body);
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let mut buffer = body.split_to(cut.min(body.len()));
        while let Some(data) = decoder.decode(&mut buffer)? {
            assert!(!data.is_empty());
            out.extend_from_slice(&data);
        }
        assert!(buffer.is_empty());
    }
    decoder.finish().map(|trailers| (out, trailers))
}

fn unsigned(length_bytes: u64, announced: &[&str]) -> ChunkedDecoder {
    let announced = announced.iter().map(|&name| name.to_owned()).collect();
    ChunkedDecoder::new(None, TrailerPresence::Present, length_bytes, announced)
}

fn signed(length_bytes: u64) -> ChunkedDecoder {
    ChunkedDecoder::new(Some(chain()), TrailerPresence::Absent, length_bytes, Vec::new())
}

fn unsigned_code(length_bytes: u64, announced: &[&str], body: &str) -> &'static str {
    decode_with(unsigned(length_bytes, announced), body.as_bytes(), &[]).unwrap_err().code()
}

#[test]
fn botocore_style_body_with_trailer() {
    let body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let (data, trailers) = decode_with(unsigned(5, &[SUM]), body, &[1, 4, 9]).unwrap();
    assert_eq!(data, b"hello");
    assert_eq!(trailers.get(SUM), Some("NhCmhg=="));
}

#[test]
fn empty_bodies() {
    decode_with(unsigned(0, &[]), b"0\r\n\r\n", &[]).unwrap();
    decode_with(signed(0), &encode(&[], Some(chain()), None), &[]).unwrap();
}

#[test]
fn data_is_handed_out_without_copying() {
    let mut input = Bytes::from_static(b"5\r\nhello\r\n0\r\n\r\n");
    let start = input.as_ptr() as usize;
    let data = unsigned(5, &[]).decode(&mut input).unwrap().unwrap();
    assert_eq!(data.as_ptr() as usize, start + 3);
}

#[test]
fn bad_framing_is_refused() {
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5;ext=1\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "ffffffffffffffff\r\n",
        "5\r\nhello\r\n0\r\n\r\nmore",
        "5\r\nhello\r\n0\r\n",
        "5\r\nhello\r\n",
        "5\r\nhel",
        "",
        "4\r\nhell\r\n0\r\n\r\n",
        "6\r\nhello!\r\n0\r\n\r\n",
    ] {
        assert_eq!(unsigned_code(5, &[], body), "IncompleteBody", "{body:?}");
    }
    assert_eq!(unsigned_code(5, &[], &"1".repeat(300)), "IncompleteBody");
}

#[test]
fn an_error_is_final() {
    let mut decoder = unsigned(5, &[]);
    assert!(decoder.decode(&mut Bytes::from_static(b"x\r\n")).is_err());
    assert!(decoder.decode(&mut Bytes::from_static(b"5\r\n")).is_err());
    assert!(decoder.finish().is_err());
}

#[test]
fn only_the_last_chunk_may_be_short() {
    let body = encode(&[vec![1; 8191], vec![2; 9000]], None, None);
    let error = decode_with(unsigned(17191, &[]), &body, &[]).unwrap_err();
    assert_eq!(error.code(), "InvalidChunkSizeError");
    let body = encode(&[vec![1; 8192], vec![2; 1]], None, None);
    decode_with(unsigned(8193, &[]), &body, &[]).unwrap();
}

#[test]
fn a_signed_chunk_is_limited_and_an_unsigned_one_is_not() {
    let header = format!("1000001;chunk-signature={}\r\n", "0".repeat(64));
    let error = decode_with(signed(1 << 30), header.as_bytes(), &[]).unwrap_err();
    assert_eq!(error.code(), "InvalidChunkSizeError");
    let mut decoder = unsigned(1 << 40, &[]);
    assert_eq!(decoder.decode(&mut Bytes::from_static(b"10000000000\r\n")).unwrap(), None);
}

#[test]
fn trailers_are_exactly_those_announced() {
    let body = |trailers: &str| format!("0\r\n{trailers}\r\n");
    let good = format!("{SUM}:x\r\n");
    for trailers in [
        "".to_owned(),
        format!("{good}{good}"),
        format!("{good}x-amz-checksum-sha1:x\r\n"),
        "x-amz-meta-a:x\r\n".to_owned(),
        "nonsense\r\n".to_owned(),
        format!("{SUM}:a\u{1}b\r\n"),
        format!("{good}x-amz-trailer-signature:00\r\n"),
    ] {
        assert_eq!(unsigned_code(0, &[SUM], &body(&trailers)), "MalformedTrailerError", "{trailers:?}");
    }
    let (_, trailers) =
        decode_with(unsigned(0, &[SUM]), body("X-Amz-Checksum-CRC32: x \r\n").as_bytes(), &[]).unwrap();
    assert_eq!(trailers.get(SUM), Some("x"));
}

#[test]
fn trailers_without_end_are_bounded() {
    let long = format!("0\r\n{SUM}:{}", "x".repeat(MAX_TRAILER_BYTES));
    assert_eq!(unsigned_code(0, &[SUM], &long), "IncompleteBody");
}

#[test]
fn unsigned_chunks_in_a_signed_body_and_the_reverse_are_refused() {
    let error = decode_with(signed(5), b"5\r\nhello\r\n0\r\n\r\n", &[]).unwrap_err();
    assert_eq!(error.code(), "SignatureDoesNotMatch");
    let body = encode(&[b"hello".to_vec()], Some(chain()), None);
    assert_eq!(decode_with(unsigned(5, &[]), &body, &[]).unwrap_err().code(), "InvalidRequest");
}

#[test]
fn reordered_repeated_and_dropped_chunks_are_refused() {
    let (a, b) = (vec![1; 8192], vec![2; 8192]);
    let whole = encode(&[a, b], Some(chain()), None);
    let chunk = 8192 + "2000;chunk-signature=".len() + 64 + 4;
    let (first, rest) = whole.split_at(chunk);
    let (second, end) = rest.split_at(chunk);
    let refused = |parts: &[&[u8]], length_bytes| {
        decode_with(signed(length_bytes), &parts.concat(), &[]).unwrap_err().code()
    };
    assert!(decode_with(signed(16384), &[first, second, end].concat(), &[]).is_ok());
    assert_eq!(refused(&[second, first, end], 16384), "SignatureDoesNotMatch");
    assert_eq!(refused(&[first, first, end], 16384), "SignatureDoesNotMatch");
    assert_eq!(refused(&[first, end], 8192), "SignatureDoesNotMatch");
}

#[test]
fn announced_names_are_checked() {
    let names = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-trailer", value.parse().unwrap());
        headers.append("x-amz-decoded-content-length", "0".parse().unwrap());
        ChunkedDecoder::for_request(&PayloadMode::StreamingUnsignedTrailer, &headers).map(|d| d.is_some())
    };
    assert_eq!(names("x-amz-checksum-crc32"), Ok(true));
    for bad in ["content-length", "x-amz-checksum-sha1,x-amz-checksum-sha1", "x-amz-meta-a", ""] {
        assert_eq!(names(bad).unwrap_err().code(), "InvalidRequest", "{bad}");
    }
}

#[test]
fn the_decoded_length_must_be_a_number_given_once() {
    let with = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-amz-decoded-content-length", value.parse().unwrap());
        }
        ChunkedDecoder::for_request(&PayloadMode::StreamingUnsignedTrailer, &headers).err().map(|e| e.code())
    };
    assert_eq!(with(&["12"]), None);
    assert_eq!(with(&[]), Some("MissingContentLength"));
    for bad in [&["-1"][..], &["+1"], &["1e3"], &["1", "1"], &["99999999999999999999"]] {
        assert_eq!(with(bad), Some("InvalidRequest"), "{bad:?}");
    }
}

fn any_chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let full = prop::collection::vec(any::<u8>(), 8192..9000);
    let last = prop::collection::vec(any::<u8>(), 1..9000);
    (prop::collection::vec(full, 0..3), prop::option::of(last))
        .prop_map(|(full, last)| full.into_iter().chain(last).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_of_any_body_decodes(
        chunks in any_chunks(),
        cuts in prop::collection::vec(0_usize..3000, 0..20),
        is_signed in any::<bool>(),
        has_trailer in any::<bool>(),
    ) {
        let length_bytes = chunks.iter().map(|c| c.len() as u64).sum();
        let body = encode(&chunks, is_signed.then(chain), has_trailer.then_some("abc="));
        let announced = if has_trailer { vec![SUM.to_owned()] } else { Vec::new() };
        let trailer = if has_trailer { TrailerPresence::Present } else { TrailerPresence::Absent };
        let decoder = ChunkedDecoder::new(is_signed.then(chain), trailer, length_bytes, announced);
        let (data, trailers) = decode_with(decoder, &body, &cuts).unwrap();
        prop_assert_eq!(data, chunks.concat());
        prop_assert_eq!(trailers.0.len(), usize::from(has_trailer));
    }

    #[test]
    fn any_changed_byte_of_a_signed_body_is_refused(
        chunks in any_chunks(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let length_bytes = chunks.iter().map(|c| c.len() as u64).sum();
        let mut body = encode(&chunks, Some(chain()), Some("abc="));
        let at = at.index(body.len());
        body[at] ^= flip;
        let announced = vec![SUM.to_owned()];
        let decoder = ChunkedDecoder::new(Some(chain()), TrailerPresence::Present, length_bytes, announced);
        let result = decode_with(decoder, &body, &[]);
        // Names and sizes are the two places where the case of a letter means nothing.
        prop_assert!(result.is_err() || (flip == 0x20 && body[at].is_ascii_alphabetic()), "at {}", at);
    }
}
