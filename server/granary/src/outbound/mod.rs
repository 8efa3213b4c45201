//! Connections to places that others name: the operator, or owners of accounts.
//!
//! Whatever a name resolves to is checked ([`address`]), and that very address is connected to. So nobody makes this server
//! connect to something within.

mod address;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use address::Reach;

/// Makes connections.
pub(crate) struct Outbound {
    reach: Reach,
    /// The option that lets it reach further, for messages.
    allowed_by: &'static str,
    tls: TlsConnector,
}

impl Outbound {
    /// Trusts the certificates that the machine trusts, and those in the PEM file `ca_certificate`.
    pub(crate) fn new(reach: Reach, allowed_by: &'static str, ca_certificate: Option<&Path>) -> Result<Self> {
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
        Ok(Self { reach, allowed_by, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Connects to an address that was checked, and to no other: the name is resolved once.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream> {
        let found = tokio::net::lookup_host((host, port)).await.context("resolving")?;
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

    /// Speaks TLS with who must be `host`.
    pub(crate) async fn encrypt(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).context("the name")?;
        self.tls.connect(name, stream).await.context("TLS")
    }

    /// A name that resolves to a forbidden address beside allowed ones is as bad as one that resolves to that alone.
    fn allowed(&self, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = found.collect();
        let forbidden: Option<IpAddr> =
            found.iter().map(SocketAddr::ip).find(|address| !self.reach.allows(*address));
        if let Some(address) = forbidden {
            let allowed_by = self.allowed_by;
            bail!("its address {address} is not one of the public internet ({allowed_by} allows it)");
        }
        Ok(found)
    }
}
