//! `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, written by hand.

use granary_tests::raw::Response;
use time::OffsetDateTime;

use crate::{BUCKET, Target, assert_refused};

const STREAMING: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const CHUNK: usize = 8192;

/// The frames of a body signed in chunks, the empty last one included.
struct Frames {
    request: granary_tests::signer::Request,
    frames: Vec<Vec<u8>>,
}

fn frames(target: &Target, chunks: &[Vec<u8>]) -> Frames {
    let at = OffsetDateTime::now_utc();
    let decoded: usize = chunks.iter().map(Vec::len).sum();
    let mut request = target
        .put("k")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", &decoded.to_string());
    let mut previous = target.signer.sign(&mut request, STREAMING, at);
    let mut frames = Vec::new();
    for chunk in chunks.iter().chain(std::iter::once(&Vec::new())) {
        let signature = target.signer.chunk_signature(&previous, chunk, at);
        let mut frame = format!("{:x};chunk-signature={signature}\r\n", chunk.len()).into_bytes();
        frame.extend_from_slice(chunk);
        frame.extend_from_slice(b"\r\n");
        frames.push(frame);
        previous = signature;
    }
    Frames { request, frames }
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
