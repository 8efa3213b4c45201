//! Certificates made for one test.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A self-signed certificate for `localhost` and `127.0.0.1`, on disk and in memory.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM file with the certificate, which is its own authority.
    pub certificate_path: PathBuf,
    /// PEM file with the private key.
    pub key_path: PathBuf,
    /// The certificate as PEM text.
    pub certificate_pem: String,
}

impl Certificate {
    /// Makes a certificate and writes it into `dir`.
    pub fn create_in(dir: &Path) -> Result<Self> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
        let certificate_pem = made.cert.pem();
        let certificate_path = dir.join("tls-cert.pem");
        let key_path = dir.join("tls-key.pem");
        std::fs::write(&certificate_path, &certificate_pem).context("writing the certificate")?;
        std::fs::write(&key_path, made.signing_key.serialize_pem()).context("writing the key")?;
        Ok(Self { certificate_path, key_path, certificate_pem })
    }
}
