//! TLS: handshake, ALPN, HTTP/2, a client that never shakes hands, and mistakes in the files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test helper that panics fails its test.

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use granary_server::config::TlsFiles;
use granary_server::serve::limits::Limits;
use granary_server::serve::tls;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use support::{PATIENCE, Running, limits, read_to_end};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

struct Identity {
    dir: TempDir,
    files: TlsFiles,
    roots: RootCertStore,
}

impl Identity {
    fn create() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        Self { dir, files, roots }
    }

    fn acceptor(&self) -> Option<TlsAcceptor> {
        Some(tls::acceptor(&self.files).unwrap())
    }

    async fn connect(&self, server: &Running, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }
}

#[tokio::test]
async fn http1_over_tls() {
    let identity = Identity::create();
    let server = Running::start_with(limits(), identity.acceptor()).await;
    for alpn in [&[][..], &[&b"http/1.1"[..]]] {
        let mut stream = identity.connect(&server, alpn).await;
        stream.write_all(b"GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(read_to_end(&mut stream).await.contains("s3 /k"));
    }
}

#[tokio::test]
async fn http2_by_alpn() {
    let identity = Identity::create();
    let server = Running::start_with(limits(), identity.acceptor()).await;
    let stream = identity.connect(&server, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let request = http::Request::get("https://localhost/k").body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "s3 /k");
    }
    let large = http::Request::get("https://localhost/k").header("x-a", "a".repeat(20_000));
    let refused = sender.send_request(large.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(refused.status(), 431);
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_is_closed() {
    let identity = Identity::create();
    let short = Duration::from_millis(200);
    let server =
        Running::start_with(Limits { first_byte_timeout: short, ..limits() }, identity.acceptor()).await;
    let started = Instant::now();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
    assert!(started.elapsed() >= short && started.elapsed() < PATIENCE);
}

#[test]
fn mistakes_in_the_files_are_told() {
    let identity = Identity::create();
    let message = |files: TlsFiles| format!("{:#}", tls::acceptor(&files).err().unwrap());
    let missing = PathBuf::from("/no/such/file");
    assert!(
        message(TlsFiles { certificate: missing.clone(), ..identity.files.clone() })
            .contains("/no/such/file")
    );
    assert!(message(TlsFiles { key: missing, ..identity.files.clone() }).contains("private key"));
    let empty = identity.dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    assert!(message(TlsFiles { certificate: empty, ..identity.files.clone() }).contains("no certificate"));
    let other = Identity::create();
    assert!(message(TlsFiles { key: other.files.key, ..identity.files }).contains("and its key"));
}
