use futures::FutureExt as _;
use http::Request;

use super::*;

#[tokio::test]
async fn a_short_body_goes_at_once_and_a_long_one_waits_for_room() {
    let (ours, _theirs) = tokio::io::duplex(1024 * 1024);
    let (sender, _connection) = h2::client::handshake(ours).await.unwrap();
    let begin = || {
        let request = Request::post("http://granary/granary/append").body(()).unwrap();
        sender.clone().send_request(request, false).unwrap()
    };
    let progress = Progress::new();

    // Nobody moves the connection: what is sent now leaves with the head.
    let (_answer, mut stream) = begin();
    let head = Bytes::from_static(b"head");
    let short =
        Pieces::new(vec![head.clone(), Bytes::new(), vec![1; PIECE_LENGTH_BYTES - head.len()].into()]);
    assert_eq!(short.length_bytes(), PIECE_LENGTH_BYTES);
    assert!(short.send(&mut stream, &progress).now_or_never().unwrap().is_ok());

    let (_answer, mut stream) = begin();
    let long = Pieces::new(vec![head, vec![1; PIECE_LENGTH_BYTES].into()]);
    assert!(long.send(&mut stream, &progress).now_or_never().is_none());
}
