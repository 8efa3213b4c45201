//! AWS SDK clients for a test server.

use anyhow::{Context, Result};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::PATIENCE;

/// The access key every test server is started with.
pub const ACCESS_KEY: &str = "GRANARYTESTACCESSKEY";
/// Its secret; it protects nothing but a test.
pub const SECRET_KEY: &str = "granary-test-secret-key-0123456789";
/// The region clients sign for.
pub const REGION: &str = "us-east-1";

/// A client with path-style addressing and no retries, so that a test sees every failure. It waits for a server that is slow: what
/// that may take is for the tests to say. With `trusted_pem` it speaks TLS and trusts that certificate alone.
pub fn s3_client(endpoint: &str, trusted_pem: Option<&str>) -> Result<Client> {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "granary-tests");
    let timeouts = TimeoutConfig::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE).build();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(credentials)
        .endpoint_url(endpoint)
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
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

/// What a server answered when it refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The S3 error code; empty where S3 sends no body (HEAD, 304).
    pub code: String,
}

impl Refusal {
    /// A refusal to compare with.
    pub fn new(status: u16, code: &str) -> Self {
        Self { status, code: code.to_owned() }
    }
}

/// Splits what the server decided from what went wrong on the way: a response, whatever it says, is
/// the inner result; no response is the outer error. A 503 that does not say when to try again is
/// wrong whatever a test expects, and an outer error too.
pub fn decided<T, E>(result: Result<T, SdkError<E>>) -> Result<Result<T, Refusal>>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let error = match result {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    let Some(response) = error.raw_response() else { return Err(error).context("no response") };
    let status = response.status().as_u16();
    if status == 503 && response.headers().get("retry-after").is_none() {
        return Err(error).context("503 without Retry-After");
    }
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default().to_owned();
    Ok(Err(Refusal { status, code }))
}
