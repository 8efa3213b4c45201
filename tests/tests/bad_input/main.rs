//! Requests that no honest client sends, written by hand on sockets: each gets the right error, costs
//! bounded memory, and stores nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod chunks;
mod hangups;
mod headers;
mod names;
mod payloads;
mod signatures;
mod xml;

use granary_tests::client::{ACCESS_KEY, REGION, SECRET_KEY};
use granary_tests::raw::{self, Response};
use granary_tests::signer::{Request, Signer, UNSIGNED_PAYLOAD};
use granary_tests::{Server, ServerConfig};
use time::OffsetDateTime;

const BUCKET: &str = "hostile";
const MEMORY_BYTES_MAX: u64 = 400 << 20;

/// A server under attack.
struct Target {
    server: Server,
    signer: Signer,
}

impl Target {
    async fn start() -> Self {
        Self::start_with(ServerConfig::drives(2)).await
    }

    async fn start_with(config: ServerConfig) -> Self {
        let server = Server::start(config).await.unwrap();
        server.client().unwrap().create_bucket().bucket(BUCKET).send().await.unwrap();
        let signer = Signer {
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            region: REGION.to_owned(),
        };
        Self { server, signer }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, &self.server.host(), path)
    }

    fn put(&self, key: &str) -> Request {
        self.request("PUT", &format!("/{BUCKET}/{key}"))
    }

    /// Signs rightly, without hashing the payload, and sends.
    async fn signed(&self, mut request: Request, body: &[u8]) -> Response {
        self.signer.sign(&mut request, UNSIGNED_PAYLOAD, OffsetDateTime::now_utc());
        self.send(&request, body).await
    }

    async fn send(&self, request: &Request, body: &[u8]) -> Response {
        raw::send(&self.server.host(), request, body).await.unwrap()
    }

    /// Fails unless the bucket is empty, holds no upload, and the server is alive and small.
    async fn assert_unharmed(&self) {
        let client = self.server.client().unwrap();
        let listed = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        assert!(listed.contents().is_empty(), "stored: {:?}", listed.contents());
        let uploads = client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
        assert!(uploads.uploads().is_empty(), "begun: {:?}", uploads.uploads());
        self.assert_small();
    }

    fn assert_small(&self) {
        let peak = self.server.peak_memory_bytes().unwrap();
        assert!(peak < MEMORY_BYTES_MAX, "the server took {peak} bytes of memory");
    }
}

/// The status and code of a refusal, with the whole answer in the message.
fn assert_refused(what: &str, response: &Response, status: u16, code: &str) {
    let got = (response.status, response.error_code());
    assert_eq!(got, (status, code.to_owned()), "{what}: {}", String::from_utf8_lossy(&response.body));
}
