//! What identity providers publish, fetched over HTTPS from where accounts say that they are.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use granary_iam::IssuerDocuments;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::config::Settings;
use crate::outbound::{Outbound, Reach};

/// For the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
const HTTPS_PORT: u16 = 443;

/// Fetches documents, each over a connection of its own. Redirects are not followed.
pub(super) struct Issuers(Outbound);

impl Issuers {
    /// Reaches as far as the settings say.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let private = settings.identity_provider_allow_private;
        let reach = if private { Reach::Anywhere } else { Reach::Public };
        let certificate = settings.identity_provider_ca_cert.as_deref();
        let outbound = Outbound::new(reach, "--identity-provider-allow-private", certificate);
        outbound.map(Self).context("the identity providers")
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>> {
        let uri: Uri = url.parse().context("it is no URL")?;
        ensure!(uri.scheme_str() == Some("https"), "it must begin with https://");
        let authority = uri.authority().context("it names no host")?;
        ensure!(!authority.as_str().contains('@'), "it must hold no user name or password");
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let stream = self.0.connect(host, authority.port_u16().unwrap_or(HTTPS_PORT)).await?;
        let stream = self.0.encrypt(host, stream).await?;
        let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header("host", authority.as_str())
            .header("user-agent", concat!("Granary/", env!("CARGO_PKG_VERSION")))
            .header("accept", "application/json")
            .body(Empty::<Bytes>::new())
            .context("making the request")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("HTTP")?;
        let driver = tokio::spawn(connection);
        let answered = async {
            let (head, body) = sender.send_request(request).await.context("HTTP")?.into_parts();
            if head.status != StatusCode::OK {
                bail!("it answered {}", head.status);
            }
            let body = Limited::new(body, DOCUMENT_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("reading the answer: {error}"))?;
            Ok(body.to_bytes().to_vec())
        };
        let answered = answered.await;
        driver.abort();
        answered
    }
}

#[async_trait]
impl IssuerDocuments for Issuers {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        match tokio::time::timeout(TIMEOUT, self.get(url)).await {
            Err(_late) => Err(format!("{url}: it did not answer in time")),
            Ok(fetched) => fetched.map_err(|error| format!("{url}: {error:#}")),
        }
    }
}
