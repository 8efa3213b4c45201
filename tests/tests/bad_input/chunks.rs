//! `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` and `…-TRAILER`, written by hand.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use granary_tests::raw::Response;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::{BUCKET, Target, assert_refused};

const STREAMING: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const STREAMING_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const TRAILER: &str = "x-amz-checksum-sha256";
const CHUNK: usize = 8192;

/// The frames of a body signed in chunks, the empty last one included.
struct Frames {
    request: granary_tests::signer::Request,
    frames: Vec<Vec<u8>>,
    /// The last chunk's signature, which trailers go on from.
    last: String,
    at: OffsetDateTime,
}

fn frames(target: &Target, chunks: &[Vec<u8>]) -> Frames {
    frames_of(target, target.put("k"), STREAMING, chunks)
}

fn frames_of(
    target: &Target,
    request: granary_tests::signer::Request,
    payload: &str,
    chunks: &[Vec<u8>],
) -> Frames {
    let at = OffsetDateTime::now_utc();
    let decoded: usize = chunks.iter().map(Vec::len).sum();
    let mut request = request
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", &decoded.to_string());
    let mut previous = target.signer.sign(&mut request, payload, at);
    let mut frames = Vec::new();
    for chunk in chunks.iter().chain(std::iter::once(&Vec::new())) {
        let signature = target.signer.chunk_signature(&previous, chunk, at);
        let mut frame = format!("{:x};chunk-signature={signature}\r\n", chunk.len()).into_bytes();
        frame.extend_from_slice(chunk);
        frame.extend_from_slice(b"\r\n");
        frames.push(frame);
        previous = signature;
    }
    Frames { request, frames, last: previous, at }
}

impl Frames {
    async fn send(&self, target: &Target, order: &[usize]) -> Response {
        let body: Vec<u8> = order.iter().flat_map(|index| self.frames[*index].clone()).collect();
        target.send(&self.request, &body).await
    }
}

fn three_chunks() -> Vec<Vec<u8>> {
    (1..=3).map(|fill| vec![fill; CHUNK]).collect()
}

#[tokio::test]
async fn chunks_are_taken_in_order_and_whole_only() {
    let target = Target::start().await;
    let frames = frames(&target, &three_chunks());
    let refused = [
        ("reordered", vec![1, 0, 2, 3]),
        ("replayed", vec![0, 0, 2, 3]),
        ("dropped", vec![0, 2, 3]),
        ("started late", vec![1, 2, 3]),
    ];
    for (what, order) in refused {
        assert_refused(what, &frames.send(&target, &order).await, 403, "SignatureDoesNotMatch");
    }
    let unfinished = frames.send(&target, &[0, 1, 2]).await;
    assert_refused("without the last chunk", &unfinished, 400, "IncompleteBody");
    let early = frames.send(&target, &[3]).await;
    assert!(matches!(early.status, 400 | 403), "ended at once with the last chunk's signature");
    target.assert_unharmed().await;

    assert_eq!(frames.send(&target, &[0, 1, 2, 3]).await.status, 200, "the honest order");
    let got = target.server.client().unwrap().get_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), three_chunks().concat());
}

#[tokio::test]
async fn broken_chunk_framing_is_refused() {
    let target = Target::start().await;
    let good = frames(&target, &three_chunks());
    let mut flipped = good.frames.concat();
    flipped[200] ^= 1;
    let response = target.send(&good.request, &flipped).await;
    assert_refused("a flipped bit", &response, 403, "SignatureDoesNotMatch");
    let hostile: [(&str, Vec<u8>); 7] = [
        ("no framing", vec![0; 4096]),
        ("endless header", vec![b'0'; 100_000]),
        ("absurd length", b"ffffffffffffffff;chunk-signature=00\r\n".to_vec()),
        ("over-long length", b"10000000000000000000000;chunk-signature=00\r\nx".to_vec()),
        ("negative length", b"-1;chunk-signature=00\r\n\r\n".to_vec()),
        ("no signature", b"5\r\nhello\r\n0\r\n\r\n".to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, body) in hostile {
        let response = target.send(&good.request, &body).await;
        assert!(matches!(response.status, 400 | 403), "{what}: {}", response.status);
    }
    let mut lying = good.request.clone().header("x-amz-decoded-content-length", "5");
    target.signer.sign(&mut lying, STREAMING, OffsetDateTime::now_utc());
    let response = target.send(&lying, &good.frames.concat()).await;
    assert!(matches!(response.status, 400 | 403), "a wrong decoded length: {}", response.status);
    target.assert_unharmed().await;
}

/// A body of three chunks with these lines behind the last one.
async fn send_trailed(target: &Target, trailed: &Frames, lines: &str) -> Response {
    let mut body = trailed.frames.concat();
    // The last chunk is empty, and what ends it ends the trailers.
    body.truncate(body.len() - 2);
    body.extend_from_slice(lines.as_bytes());
    body.extend_from_slice(b"\r\n");
    target.send(&trailed.request, &body).await
}

#[tokio::test]
async fn signed_trailers_are_taken_as_they_were_signed_only() {
    let target = Target::start().await;
    let body = three_chunks();
    let request = target.put("k").header("x-amz-trailer", TRAILER);
    let trailed = frames_of(&target, request, STREAMING_TRAILER, &body);
    let sum = |bytes: &[u8]| BASE64_STANDARD.encode(Sha256::digest(bytes));
    let (right, wrong) = (sum(&body.concat()), sum(b"another body"));
    let sign = |previous: &str, value: &str| {
        target.signer.trailer_signature(previous, &format!("{TRAILER}:{value}\n"), trailed.at)
    };
    let lines = |value: &str, signature: &str| {
        format!("{TRAILER}:{value}\r\nx-amz-trailer-signature:{signature}\r\n")
    };
    let good = sign(&trailed.last, &right);
    let refused = [
        ("the signature of another value", lines(&right, &sign(&trailed.last, &wrong))),
        ("a signature out of the chain", lines(&right, &sign(&good, &right))),
        ("a changed value", lines(&wrong, &good)),
        ("no signature at all", lines(&right, &"0".repeat(64))),
    ];
    for (what, lines) in refused {
        assert_refused(what, &send_trailed(&target, &trailed, &lines).await, 403, "SignatureDoesNotMatch");
    }
    let malformed = [
        ("unsigned", format!("{TRAILER}:{right}\r\n")),
        ("missing", format!("x-amz-trailer-signature:{good}\r\n")),
        ("twice", format!("{TRAILER}:{right}\r\n{}", lines(&right, &good))),
        ("behind its signature", format!("x-amz-trailer-signature:{good}\r\n{TRAILER}:{right}\r\n")),
    ];
    for (what, lines) in malformed {
        assert_refused(what, &send_trailed(&target, &trailed, &lines).await, 400, "MalformedTrailerError");
    }
    // Signed well, and not what the body is.
    let mistaken = lines(&wrong, &sign(&trailed.last, &wrong));
    assert_refused("a wrong sum", &send_trailed(&target, &trailed, &mistaken).await, 400, "BadDigest");
    target.assert_unharmed().await;

    let stored = send_trailed(&target, &trailed, &lines(&right, &good)).await;
    assert_eq!(stored.status, 200, "{}", String::from_utf8_lossy(&stored.body));
    let got = target.server.client().unwrap().get_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), body.concat());
}
