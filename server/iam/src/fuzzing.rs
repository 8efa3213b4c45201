//! What fuzz targets call beside what is public.

#![cfg_attr(test, allow(unreachable_pub, reason = "only fuzz targets reach it from outside"))]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;

use crate::documents::ProviderDocument;
use crate::web_identity::{self, IssuerDocuments, IssuerKeys};

/// Whom a token was taken to be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The subject.
    pub subject: String,
    /// For whom it is: one of the clients.
    pub audience: String,
}

/// An issuer that is always there.
struct Publishes<'a> {
    issuer: &'a str,
    keys: &'a [u8],
}

#[async_trait]
impl IssuerDocuments for Publishes<'_> {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        if url.ends_with("/keys") {
            return Ok(self.keys.to_vec());
        }
        let discovery = serde_json::json!({ "issuer": self.issuer, "jwks_uri": "https://keys.example/keys" });
        Ok(discovery.to_string().into_bytes())
    }
}

/// Verifies a token as `AssumeRoleWithWebIdentity` does, where its issuer is known for these clients and publishes this
/// document of keys. None for a token that is refused.
///
/// # Panics
/// When verifying waits: there is nothing to wait for.
#[allow(clippy::panic)] // What a fuzz target finds, it tells by a panic.
#[must_use]
pub fn verify_token(issuer: &str, clients: &[&str], keys: &[u8], token: &str) -> Option<Taken> {
    if web_identity::issuer_of(token).ok()? != issuer {
        return None;
    }
    let provider = ProviderDocument {
        account: "123456789012".to_owned(),
        url: issuer.to_owned(),
        client_ids: clients.iter().map(|client| (*client).to_owned()).collect(),
        thumbprints: Vec::new(),
        created_ms: 0,
        tags: Vec::new(),
    };
    let (known, documents) = (IssuerKeys::default(), Publishes { issuer, keys });
    let verified = pin!(web_identity::verify(&known, &documents, &provider, token));
    match verified.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verified) => {
            verified.ok().map(|taken| Taken { subject: taken.subject, audience: taken.audience })
        }
        Poll::Pending => panic!("verifying waits"),
    }
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
