//! AWS SDK clients for a test server.

use anyhow::{Context, Result};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// The access key every test server is started with.
pub const ACCESS_KEY: &str = "GRANARYTESTACCESSKEY";
/// Its secret; it protects nothing but a test.
pub const SECRET_KEY: &str = "granary-test-secret-key-0123456789";
/// The region clients sign for.
pub const REGION: &str = "us-east-1";

/// A client with path-style addressing and no retries, so that a test sees every failure. With
/// `trusted_pem` it speaks TLS and trusts that certificate alone.
pub fn s3_client(endpoint: &str, trusted_pem: Option<&str>) -> Result<Client> {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "granary-tests");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(credentials)
        .endpoint_url(endpoint)
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .http_client(http_client(trusted_pem)?)
        .build();
    Ok(Client::from_conf(config))
}

fn http_client(trusted_pem: Option<&str>) -> Result<SharedHttpClient> {
    let Some(pem) = trusted_pem else { return Ok(Builder::new().build_http()) };
    let trust = TrustStore::empty().with_pem_certificate(pem.as_bytes());
    let context = TlsContext::builder().with_trust_store(trust).build().context("TLS context")?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https())
}
