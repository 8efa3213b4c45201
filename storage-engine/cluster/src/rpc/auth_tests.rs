use http::Request;

use super::*;

const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);

fn secret(text: &str) -> ClusterSecret {
    ClusterSecret::new(text.repeat(8).as_bytes()).unwrap()
}

fn head(number: u64) -> RequestHead {
    RequestHead {
        cluster: CLUSTER,
        sender: NodeId::from_bytes([2; 16]),
        sender_life: LifeId([3; 16]),
        life: LifeId([4; 16]),
        timestamp_ms: now_ms(),
        session: SessionId([5; 16]),
        number,
        body_hash: *blake3::hash(b"body").as_bytes(),
    }
}

fn request(head: RequestHead) -> Request<()> {
    let (value, _) = sign(&secret("right"), Operation::Read, head).unwrap();
    Request::post("http://granary/granary/shard/read").header(HEADER, value).body(()).unwrap()
}

fn check(request: &Request<()>) -> Result<Verified, AuthError> {
    verify(&secret("right"), CLUSTER, &ReplayGuard::default(), request)
}

#[test]
fn what_was_signed_is_taken_and_nothing_else() {
    assert!(check(&request(head(1))).is_ok());
    let mut other_path = request(head(1));
    *other_path.uri_mut() = "http://granary/granary/shard/remove".parse().unwrap();
    assert!(matches!(check(&other_path), Err(AuthError::Secret)));
    let mut other_query = request(head(1));
    *other_query.uri_mut() = "http://granary/granary/shard/read?x=1".parse().unwrap();
    assert!(matches!(check(&other_query), Err(AuthError::Secret)));
    let mut other_method = request(head(1));
    *other_method.method_mut() = http::Method::PUT;
    assert!(matches!(check(&other_method), Err(AuthError::Secret)));
    let wrong = verify(&secret("wrong"), CLUSTER, &ReplayGuard::default(), &request(head(1)));
    assert!(matches!(wrong, Err(AuthError::Secret)));
    let other_cluster = ClusterId::from_bytes([9; 16]);
    let wrong = verify(&secret("right"), other_cluster, &ReplayGuard::default(), &request(head(1)));
    assert!(matches!(wrong, Err(AuthError::Cluster)));
    assert!(matches!(check(&Request::new(())), Err(AuthError::Missing)));
}

#[test]
fn every_bit_of_the_header_counts() {
    let good = request(head(1));
    let bytes = from_header(good.headers()).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let mut bad = request(head(1));
        bad.headers_mut().insert(HEADER, HeaderValue::try_from(hex::encode(changed)).unwrap());
        assert!(check(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn old_and_repeated_requests_are_refused() {
    for apart in [CLOCK_TOLERANCE_MS + 5000, 0_u64.wrapping_sub(CLOCK_TOLERANCE_MS + 5000)] {
        let timestamp_ms = now_ms().wrapping_add(apart);
        let old = request(RequestHead { timestamp_ms, ..head(1) });
        assert!(matches!(check(&old), Err(AuthError::Clock(_))));
    }
    let replays = ReplayGuard::default();
    let twice = request(head(7));
    assert!(verify(&secret("right"), CLUSTER, &replays, &twice).is_ok());
    assert!(matches!(verify(&secret("right"), CLUSTER, &replays, &twice), Err(AuthError::Repeated)));
    assert!(verify(&secret("right"), CLUSTER, &replays, &request(head(6))).is_ok());
}

#[test]
fn another_version_is_named() {
    let value = to_header(&(7_u16, head(1), [0_u8; 32])).unwrap();
    let newer = Request::post("http://granary/granary/hello").header(HEADER, value).body(()).unwrap();
    let error = check(&newer).unwrap_err().to_string();
    assert_eq!(error, "this node speaks version 1 of the protocol, not version 7");
}

#[test]
fn answers_are_bound_to_their_request_status_and_body() {
    let (_, first) = sign(&secret("right"), Operation::Read, head(1)).unwrap();
    let (_, second) = sign(&secret("right"), Operation::Read, head(2)).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, first.sign_answer(&secret("right"), 200, b"bytes").unwrap());
    assert!(first.vouches(&secret("right"), 200, &headers, b"bytes"));
    assert!(!first.vouches(&secret("right"), 422, &headers, b"bytes"));
    assert!(!first.vouches(&secret("right"), 200, &headers, b"bytez"));
    assert!(!second.vouches(&secret("right"), 200, &headers, b"bytes"));
    assert!(!first.vouches(&secret("wrong"), 200, &headers, b"bytes"));
    assert!(!first.vouches(&secret("right"), 200, &HeaderMap::new(), b"bytes"));
}

#[test]
fn secrets_are_long_and_never_printed() {
    assert!(ClusterSecret::new(b"").is_err());
    assert!(ClusterSecret::new(&[b'x'; 31]).is_err());
    assert_eq!(format!("{:?}", secret("hidden")), "ClusterSecret(..)");
}
