//! Mutual TLS between nodes, in addition to the secret.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::error::RpcError;
use super::secret::ClusterSecret;

/// The certificates of one node: both ends of a connection show one, signed by the cluster's authority.
#[derive(Clone)]
pub struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) connector: TlsConnector,
    pub(super) server_name: ServerName<'static>,
    /// Over the authority's certificates.
    authority_hash: [u8; 32],
}

impl Tls {
    /// Takes, as PEM, this node's certificate (with its chain), its key, and the authority that signed all nodes'
    /// certificates. `server_name` is the name (DNS or IP address) that every node's certificate carries.
    ///
    /// # Errors
    /// When one cannot be read or they do not belong together.
    pub fn from_pem(
        certificate: &[u8],
        key: &[u8],
        authority: &[u8],
        server_name: &str,
    ) -> Result<Self, RpcError> {
        let chain = certificates(certificate, "the node's certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| tls("the node's private key", e))?;
        let mut roots = RootCertStore::empty();
        let mut hash = blake3::Hasher::new();
        for certificate in certificates(authority, "the authority's certificate")? {
            hash.update(certificate.as_ref());
            roots.add(certificate).map_err(|e| tls("the authority's certificate", e))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|e| tls("the authority's certificate", e))?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| tls("TLS versions", e))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|e| tls("the node's certificate and key", e))?;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| tls("TLS versions", e))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|e| tls("the node's certificate and key", e))?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        client.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
            server_name: ServerName::try_from(server_name.to_owned())
                .map_err(|e| tls("the name in the nodes' certificates", e))?,
            authority_hash: *hash.finalize().as_bytes(),
        })
    }

    /// What stands for the cluster's secret where there is none: the authority. It is no secret, and needs to be none: both
    /// ends have shown a certificate before anything is said, and what is said goes over that connection. So requests and
    /// answers stay bound to each other, and nodes of two authorities do not understand each other.
    ///
    /// # Errors
    /// Never, as a hash is long enough.
    pub fn authority_secret(&self) -> Result<ClusterSecret, RpcError> {
        ClusterSecret::new(&self.authority_hash)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8], context: &'static str) -> Result<Vec<CertificateDer<'static>>, RpcError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|e| tls(context, e))?;
    if found.is_empty() {
        return Err(tls(context, "there is none in the PEM"));
    }
    Ok(found)
}

fn tls(context: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RpcError {
    RpcError::Tls { context, source: source.into() }
}
