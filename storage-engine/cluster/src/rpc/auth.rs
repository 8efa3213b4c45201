//! Authentication of requests and answers.
//!
//! A request's header carries who sends it, when, for which life of which cluster, under which nonce, and the BLAKE3 of its
//! body; a code over all this and over method, path and query, keyed with the cluster's secret, vouches for it. The
//! answer's code covers that code, the status and the BLAKE3 of the answer's body.

use std::time::{SystemTime, UNIX_EPOCH};

use granary_types::{ClusterId, NodeId};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::replay::{CLOCK_TOLERANCE_MS, Replay, ReplayGuard};
use super::secret::ClusterSecret;
use super::wire::{LifeId, Operation, SessionId, VERSION};

/// The header, of requests and answers.
pub(super) const HEADER: &str = "granary-rpc";
const HEADER_LENGTH_BYTES_MAX: usize = 1024;

/// What a request says of itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct RequestHead {
    pub(super) cluster: ClusterId,
    pub(super) sender: NodeId,
    pub(super) sender_life: LifeId,
    /// The life of the server that it is for.
    pub(super) life: LifeId,
    pub(super) timestamp_ms: u64,
    pub(super) session: SessionId,
    pub(super) number: u64,
    pub(super) body_hash: [u8; 32],
}

/// A request that the secret vouches for. Its answer is bound to the code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verified {
    pub(super) head: RequestHead,
    mac: [u8; 32],
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    body_hash: [u8; 32],
    mac: [u8; 32],
}

#[derive(Debug, thiserror::Error)]
pub(super) enum AuthError {
    #[error("the request carries no authentication that can be read")]
    Missing,
    #[error("this node speaks version {VERSION} of the protocol, not version {0}")]
    Version(u16),
    #[error("the request is not signed with this cluster's secret")]
    Secret,
    #[error("the request is for another cluster")]
    Cluster,
    #[error(
        "the clocks of the nodes differ by {0} ms, more than {CLOCK_TOLERANCE_MS} ms, or the request is old"
    )]
    Clock(u64),
    #[error("the request was taken before")]
    Repeated,
    #[error("more connections than can be remembered")]
    TooManySessions,
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Signs a request to `operation`; the value goes under [`HEADER`].
pub(super) fn sign(
    secret: &ClusterSecret,
    operation: Operation,
    head: RequestHead,
) -> Option<(HeaderValue, Verified)> {
    let mac = request_mac(secret, "POST", operation.path(), "", &head)?;
    let value = to_header(&(VERSION, head, mac))?;
    Some((value, Verified { head, mac }))
}

fn request_mac(
    secret: &ClusterSecret,
    method: &str,
    path: &str,
    query: &str,
    head: &RequestHead,
) -> Option<[u8; 32]> {
    // Postcard writes lengths before texts, so that no two requests say the same.
    let said = postcard::to_stdvec(&(VERSION, method, path, query, head)).ok()?;
    Some(*secret.request_mac(&said).as_bytes())
}

/// Checks that a request is by a node of this cluster, recent, and not seen before.
pub(super) fn verify<B>(
    secret: &ClusterSecret,
    cluster: ClusterId,
    replays: &ReplayGuard,
    request: &http::Request<B>,
) -> Result<Verified, AuthError> {
    let bytes = from_header(request.headers()).ok_or(AuthError::Missing)?;
    let (version, rest) = postcard::take_from_bytes::<u16>(&bytes).map_err(|_| AuthError::Missing)?;
    if version != VERSION {
        return Err(AuthError::Version(version));
    }
    let (head, mac): (RequestHead, [u8; 32]) = postcard::from_bytes(rest).map_err(|_| AuthError::Missing)?;
    let uri = request.uri();
    let query = uri.query().unwrap_or("");
    let expected = request_mac(secret, request.method().as_str(), uri.path(), query, &head);
    // Compared in constant time.
    if expected.map(blake3::Hash::from) != Some(blake3::Hash::from(mac)) {
        return Err(AuthError::Secret);
    }
    if head.cluster != cluster {
        return Err(AuthError::Cluster);
    }
    let now = now_ms();
    if now.abs_diff(head.timestamp_ms) > CLOCK_TOLERANCE_MS {
        return Err(AuthError::Clock(now.abs_diff(head.timestamp_ms)));
    }
    match replays.take((head.sender_life, head.session), head.number, head.timestamp_ms, now) {
        Replay::Fresh => Ok(Verified { head, mac }),
        Replay::Repeated => Err(AuthError::Repeated),
        Replay::TooMany => Err(AuthError::TooManySessions),
    }
}

impl Verified {
    /// Signs the answer to this request.
    pub(super) fn sign_answer(
        &self,
        secret: &ClusterSecret,
        status: u16,
        body: &[u8],
    ) -> Option<HeaderValue> {
        let body_hash = *blake3::hash(body).as_bytes();
        let mac = self.answer_mac(secret, status, &body_hash)?;
        to_header(&Answer { body_hash, mac })
    }

    /// Whether the answer to this request is by a node that has the secret, and is whole.
    pub(super) fn vouches(
        &self,
        secret: &ClusterSecret,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> bool {
        let Some(bytes) = from_header(headers) else { return false };
        let Ok(answer) = postcard::from_bytes::<Answer>(&bytes) else { return false };
        let expected = self.answer_mac(secret, status, &answer.body_hash);
        expected.map(blake3::Hash::from) == Some(blake3::Hash::from(answer.mac))
            && blake3::hash(body) == blake3::Hash::from(answer.body_hash)
    }

    fn answer_mac(&self, secret: &ClusterSecret, status: u16, body_hash: &[u8; 32]) -> Option<[u8; 32]> {
        let said = postcard::to_stdvec(&(VERSION, self.mac, status, body_hash)).ok()?;
        Some(*secret.answer_mac(&said).as_bytes())
    }
}

fn to_header<T: Serialize>(message: &T) -> Option<HeaderValue> {
    let text = hex::encode(postcard::to_stdvec(message).ok()?);
    let mut value = HeaderValue::try_from(text).ok()?;
    // It never repeats: kept out of the header compression's table.
    value.set_sensitive(true);
    Some(value)
}

fn from_header(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(HEADER)?;
    (value.len() <= HEADER_LENGTH_BYTES_MAX).then(|| hex::decode(value.as_bytes()).ok())?
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
