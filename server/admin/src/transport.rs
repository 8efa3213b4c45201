//! One HTTP/1.1 request over a connection of its own, plain or TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::AdminError;
use crate::trust::Named;

const TIMEOUT: Duration = Duration::from_secs(60);
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Where the server is, and how to get there.
pub(crate) struct Transport {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Transport {
    /// `endpoint` is `http://host:port` or `https://host:port`; TLS trusts the certificates in `ca_certificate` and
    /// no others.
    pub(crate) fn new(endpoint: &str, ca_certificate: Option<&Path>) -> Result<Self, AdminError> {
        let invalid = |why: &str| AdminError::Invalid(format!("the endpoint {endpoint:?} {why}"));
        let uri: Uri = endpoint.parse().map_err(|_| invalid("is not a URL"))?;
        let host = uri.host().ok_or_else(|| invalid("names no host"))?.to_owned();
        if !matches!(uri.path(), "" | "/") {
            return Err(invalid("must have no path"));
        }
        let (port, tls) = match (uri.scheme_str(), ca_certificate) {
            (Some("http"), _) => (80, None),
            (Some("https"), Some(path)) => (443, Some(connector(path)?)),
            (Some("https"), None) => {
                return Err(invalid("is https: name the certificate to trust, --ca-cert"));
            }
            _ => return Err(invalid("must begin with http:// or https://")),
        };
        Ok(Self { host, port: uri.port_u16().unwrap_or(port), tls })
    }

    /// The value of the `Host` header; clients leave the scheme's own port out.
    pub(crate) fn authority(&self) -> String {
        match (self.port, &self.tls) {
            (80, None) | (443, Some(_)) => self.host.clone(),
            (port, _) => format!("{}:{port}", self.host),
        }
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Sends `request`, whose target is a path, and returns the whole answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, AdminError> {
        let exchange = async {
            let bare_host = self.host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((bare_host, self.port)).await.map_err(|error| {
                AdminError::transport(format!("connecting to {}", self.authority()), error)
            })?;
            let Some(tls) = &self.tls else { return exchange(stream, request).await };
            let name = ServerName::try_from(bare_host.to_owned())
                .map_err(|error| AdminError::transport("the server's name", error))?;
            let stream = tls
                .connect(name, stream)
                .await
                .map_err(|error| AdminError::transport(format!("TLS with {}", self.authority()), error))?;
            exchange(stream, request).await
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|late| AdminError::transport("the server did not answer in time", late))?
    }
}

async fn exchange<T>(stream: T, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, AdminError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| AdminError::transport("talking to the server", error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let driver = tokio::spawn(connection);
    let result = async {
        let (parts, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| AdminError::transport("reading the server's answer", error))?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    let result = result.await;
    driver.abort();
    result
}

fn connector(ca_certificate: &Path) -> Result<TlsConnector, AdminError> {
    let path = ca_certificate.display();
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca_certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| AdminError::transport(format!("reading {path}"), error))?;
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| AdminError::transport(format!("a certificate in {path}"), error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trusted = Named::new(certificates, roots, Arc::clone(&provider))
        .map_err(|error| AdminError::transport(format!("the certificates in {path}"), error))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| AdminError::transport("TLS versions", error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trusted))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
