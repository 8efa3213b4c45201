//! Sending one message: a POST over a connection of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use granary_s3::notifications::Message;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Reach;
use super::target::Target;

/// For the whole exchange: resolving, connecting, sending and being answered.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of the answer, whose text does not matter.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What a target made of a message.
#[derive(Debug)]
pub(super) enum Sent {
    /// It took it.
    Taken,
    /// It does not want this one; another may do.
    Refused(StatusCode),
    /// It takes nothing now.
    Down(String),
}

/// Sends messages.
pub(super) struct Sender {
    reach: Reach,
    tls: TlsConnector,
}

impl Sender {
    /// Trusts the certificates that the machine trusts, and those in the PEM file `ca_certificate`.
    pub(super) fn new(reach: Reach, ca_certificate: Option<&Path>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in native.errors {
            tracing::warn!(%error, "some certificates that this machine trusts cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        if let Some(path) = ca_certificate {
            let shown = path.display();
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .with_context(|| format!("reading {shown}"))?;
            for certificate in certificates {
                roots.add(certificate).with_context(|| format!("a certificate in {shown}"))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS versions")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { reach, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends a message and tells what became of it.
    pub(super) async fn send(&self, target: &Target, message: &Message) -> Sent {
        match tokio::time::timeout(TIMEOUT, self.exchange(target, message)).await {
            Err(_late) => Sent::Down("it did not answer in time".to_owned()),
            Ok(Err(error)) => Sent::Down(format!("{error:#}")),
            Ok(Ok(status)) if status.is_success() => Sent::Taken,
            // What it says now it may not say later, but other messages may pass.
            Ok(Ok(status)) if is_about_the_message(status) => Sent::Refused(status),
            Ok(Ok(status)) => Sent::Down(format!("it answered {status}")),
        }
    }

    async fn exchange(&self, target: &Target, message: &Message) -> Result<StatusCode> {
        let stream = self.connect(target).await?;
        let request = request(target, message)?;
        if !target.is_tls {
            return post(stream, request).await;
        }
        let name = ServerName::try_from(target.host.clone()).context("the target's name")?;
        post(self.tls.connect(name, stream).await.context("TLS")?, request).await
    }

    /// Connects to an address that was checked, and to no other: the name is resolved once.
    async fn connect(&self, target: &Target) -> Result<TcpStream> {
        let found =
            tokio::net::lookup_host((target.host.as_str(), target.port)).await.context("resolving")?;
        let allowed = self.allowed(found)?;
        let mut failure = anyhow!("its name resolves to no address");
        for address in allowed {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).context("connecting")?;
                    return Ok(stream);
                }
                Err(error) => failure = anyhow::Error::from(error).context("connecting"),
            }
        }
        Err(failure)
    }

    /// A name that resolves to a forbidden address beside allowed ones is as bad as one that resolves to that alone.
    fn allowed(&self, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = found.collect();
        let forbidden: Option<IpAddr> =
            found.iter().map(SocketAddr::ip).find(|address| !self.reach.allows(*address));
        if let Some(address) = forbidden {
            bail!(
                "its address {address} is not one of the public internet (--notify-allow-private allows it)"
            );
        }
        Ok(found)
    }
}

/// Whether a status is about what was sent, and not about the target.
fn is_about_the_message(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::CONFLICT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// Signed, so that the receiver knows whose it is, with the time, so that nobody sends it again much later.
fn request(target: &Target, message: &Message) -> Result<Request<Full<Bytes>>> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(&target.secret).context("signing")?;
    for part in [now_s.as_bytes(), b".".as_slice(), message.body.as_bytes()] {
        mac.update(part);
    }
    let signature = hex::encode(mac.finalize().into_bytes());
    let host = match (target.is_tls, target.port) {
        (true, 443) | (false, 80) => bracketed(&target.host),
        (_, port) => format!("{}:{port}", bracketed(&target.host)),
    };
    Request::post(target.path.as_str())
        .header("host", host)
        .header("user-agent", concat!("Granary/", env!("CARGO_PKG_VERSION")))
        .header("content-type", "application/json")
        .header("x-granary-event-id", message.id.as_str())
        .header("x-granary-timestamp", now_s)
        .header("x-granary-signature", format!("v1={signature}"))
        .body(Full::new(Bytes::from(message.body.clone())))
        .context("making the request")
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

async fn post<T>(stream: T, request: Request<Full<Bytes>>) -> Result<StatusCode>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("HTTP")?;
    let driver = tokio::spawn(connection);
    let answered = async {
        let (head, body) = sender.send_request(request).await.context("HTTP")?.into_parts();
        // Read, so that the target sees its answer taken; what it says beyond that is its own affair.
        let _text = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        Ok(head.status)
    };
    let answered = answered.await;
    driver.abort();
    answered
}
