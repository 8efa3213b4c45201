//! Sending one message: a POST over a connection of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bytes::Bytes;
use granary_s3::notifications::Message;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};

use super::target::Target;
use crate::outbound::Outbound;

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
    outbound: Outbound,
}

impl Sender {
    /// Sends over these connections.
    pub(super) fn new(outbound: Outbound) -> Self {
        Self { outbound }
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
        let stream = self.outbound.connect(&target.host, target.port).await?;
        let request = request(target, message)?;
        if !target.is_tls {
            return post(stream, request).await;
        }
        post(self.outbound.encrypt(&target.host, stream).await?, request).await
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
