//! Who must not be heard: strangers, and whoever sits between two nodes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use granary_cluster::access::{DriveAccess as _, LaneKind};
use granary_cluster::conformance::{FIRST_OFFSET, PROFILE, append, fresh_name, sample};
use granary_cluster::rpc::{ClusterSecret, Peer, PeerState, Tls};
use granary_types::{ClusterId, NodeId};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{Node, only_drive, peer_options, server_options, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_secret_is_refused() {
    let node = Node::start().await;
    let mut options = peer_options(node.address);
    options.secret = ClusterSecret::new(&[8; 32]).unwrap();
    let peer = Peer::new(options).unwrap();
    let refused = || peer.problem().is_some_and(|problem| problem.contains("not signed with this cluster's"));
    until("it is refused", refused).await;
    assert_eq!(peer.state(), PeerState::Dead { quiet: None });
    assert!(peer.drives().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_is_refused() {
    let node = Node::start().await;
    let mut options = peer_options(node.address);
    options.cluster = ClusterId::from_bytes([9; 16]);
    let peer = Peer::new(options).unwrap();
    let refused = || peer.problem().is_some_and(|problem| problem.contains("for another cluster"));
    until("it is refused", refused).await;
    assert!(peer.drives().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_than_expected_is_refused() {
    let node = Node::start().await;
    let mut options = peer_options(node.address);
    options.expected = Some(NodeId::from_bytes([0xc; 16]));
    let peer = Peer::new(options).unwrap();
    until("it is refused", || peer.problem().is_some_and(|it| it.contains("another node answers"))).await;
    assert!(peer.drives().is_empty());
}

/// What the man in the middle does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mischief {
    None,
    ChangeRequestBody,
    ChangeAnswerBody,
    ChangeStatus,
    /// Sends it twice and gives the second answer.
    Repeat,
}

/// A man in the middle who speaks HTTP/2 but has no secret. He leaves heartbeats alone.
struct Middle {
    address: SocketAddr,
    mischief: watch::Sender<Mischief>,
}

impl Middle {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mischief, receiver) = watch::channel(Mischief::None);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let receiver = receiver.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| meddle(request, target, *receiver.borrow()));
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, mischief }
    }

    fn set(&self, mischief: Mischief) {
        self.mischief.send_replace(mischief);
    }
}

async fn meddle(
    request: Request<Incoming>,
    target: SocketAddr,
    mischief: Mischief,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut body = body.collect().await.unwrap().to_bytes().to_vec();
    let is_heartbeat = parts.uri.path() == "/granary/hello";
    let mischief = if is_heartbeat { Mischief::None } else { mischief };
    if mischief == Mischief::ChangeRequestBody {
        *body.last_mut().unwrap() ^= 1;
    }
    let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
    let mut answer = forward(request.clone(), target).await;
    if mischief == Mischief::Repeat {
        answer = forward(request, target).await;
    }
    match mischief {
        Mischief::ChangeAnswerBody => {
            let mut bytes = answer.body().clone().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            *answer.body_mut() = Bytes::from(bytes);
        }
        Mischief::ChangeStatus => *answer.status_mut() = http::StatusCode::UNPROCESSABLE_ENTITY,
        _ => {}
    }
    Ok(answer.map(Full::new))
}

async fn forward(request: Request<Full<Bytes>>, target: SocketAddr) -> Response<Bytes> {
    let stream = TcpStream::connect(target).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    driver.abort();
    Response::from_parts(parts, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_in_the_middle_changes_or_repeats_anything() {
    let node = Node::start().await;
    let middle = Middle::start(node.address).await;
    let peer = Peer::new(peer_options(middle.address)).unwrap();
    let drive = only_drive(&peer).await;
    let name = fresh_name();
    let shard = drive.create_shard(name, PROFILE).await.unwrap();
    shard.append(append(LaneKind::Packed, FIRST_OFFSET, sample(1, 1000))).await.unwrap();
    for mischief in [Mischief::ChangeAnswerBody, Mischief::ChangeStatus, Mischief::Repeat] {
        middle.set(mischief);
        let error = shard.read(FIRST_OFFSET, 1000).await.unwrap_err();
        assert!(!error.is_lost(), "{mischief:?}: {error}");
        let told = error.to_string();
        assert!(told.contains("authentic") || told.contains("taken before"), "{mischief:?}: {told}");
    }
    middle.set(Mischief::ChangeRequestBody);
    let error =
        shard.append(append(LaneKind::Packed, FIRST_OFFSET + 1000, sample(2, 1000))).await.unwrap_err();
    assert!(error.to_string().contains("not the one that was signed"), "{error}");
    middle.set(Mischief::None);
    assert_eq!(shard.read(FIRST_OFFSET, 3000).await.unwrap(), sample(1, 1000), "nothing more was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_twice_for_a_repeated_request() {
    let node = Node::start().await;
    let middle = Middle::start(node.address).await;
    let peer = Peer::new(peer_options(middle.address)).unwrap();
    let drive = only_drive(&peer).await;
    let name = fresh_name();
    middle.set(Mischief::Repeat);
    // The second one would say that the shard exists; the refusal says that it was not even tried.
    let error = drive.create_shard(name, PROFILE).await.unwrap_err();
    assert!(error.to_string().contains("taken before"), "{error}");
    middle.set(Mischief::None);
    drive.open_shard(name, PROFILE).await.unwrap();
}

struct Certificates {
    authority: String,
    node: Tls,
    /// Signed by somebody else.
    stranger: Tls,
}

fn certificates() -> Certificates {
    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), rcgen::Issuer::new(params, key))
    };
    let signed_by = |issuer: &rcgen::Issuer<'_, rcgen::KeyPair>| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["granary".to_owned()]).unwrap();
        (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
    };
    let (ours, issuer) = authority("ours");
    let (_, other_issuer) = authority("other");
    let tls = |(certificate, key): (String, String)| {
        Tls::from_pem(certificate.as_bytes(), key.as_bytes(), ours.as_bytes(), "granary").unwrap()
    };
    let (node, stranger) = (tls(signed_by(&issuer)), tls(signed_by(&other_issuer)));
    Certificates { authority: ours, node, stranger }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_mutual() {
    let certificates = certificates();
    let mut options = server_options();
    options.tls = Some(certificates.node.clone());
    let node = Node::start_with(options).await;
    let with = |tls: Option<Tls>| {
        let mut options = peer_options(node.address);
        options.tls = tls;
        Peer::new(options).unwrap()
    };
    let peer = with(Some(certificates.node));
    let drive = only_drive(&peer).await;
    let shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    let bytes = sample(1, 3 << 20);
    shard.append(append(LaneKind::Bulk, FIRST_OFFSET, bytes.clone())).await.unwrap();
    assert_eq!(shard.read(FIRST_OFFSET, bytes.len()).await.unwrap(), bytes);
    for peer in [with(None), with(Some(certificates.stranger))] {
        until("it is refused", || peer.problem().is_some()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(peer.state(), PeerState::Dead { quiet: None });
    }
    assert!(Tls::from_pem(b"", b"", certificates.authority.as_bytes(), "granary").is_err());
    drop(Arc::new(node));
}
