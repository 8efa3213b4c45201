//! A request, from its head to its answer.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use granary_types::DriveId;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::body::BodyReader;
use super::handles::Handles;
use super::{LocalDrives, RpcServerOptions};
use crate::rpc::auth::{self, AuthError, Verified};
use crate::rpc::error::RpcError;
use crate::rpc::limits::{BULK_LENGTH_BYTES_MAX, CONTROL_LENGTH_BYTES_MAX};
use crate::rpc::replay::ReplayGuard;
use crate::rpc::wire::{self, DecodeError, Failure, LifeId, Operation};

/// Calls that block, at work on one drive at once. A drive that hangs must not take all threads.
const BLOCKING_MAX: usize = 32;
/// Bodies up to this length are bounded by the number of streams.
const SHORT_LENGTH_BYTES_MAX: usize = 4096;
/// Of an operation that was understood and not done.
pub(in crate::rpc) const STATUS_FAILURE: u16 = 422;

/// What all connections share.
pub(super) struct Server {
    pub(super) options: RpcServerOptions,
    pub(super) drives: Arc<dyn LocalDrives>,
    pub(super) handles: Arc<Handles>,
    pub(super) life: LifeId,
    replays: ReplayGuard,
    bodies: Arc<Semaphore>,
    gates: Mutex<HashMap<DriveId, Arc<Semaphore>>>,
}

/// A request that is not carried out; the reason is for a person.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    reason: String,
}

/// What an operation gives.
pub(super) enum Done {
    /// A control message or the bytes that were read, and the room they take until they are sent.
    Body(Bytes, Option<OwnedSemaphorePermit>),
    Failed(Failure),
}

/// One request, its sender known, its body not read.
pub(super) struct Call {
    pub(super) verified: Verified,
    pub(super) body: BodyReader,
}

impl Refusal {
    pub(super) fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    pub(super) fn malformed(reason: &str) -> Self {
        Self::new(400, reason)
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        let status = match error {
            AuthError::Version(_) => 505,
            AuthError::TooManySessions => 429,
            AuthError::Cluster => 403,
            _ => 401,
        };
        Self::new(status, error.to_string())
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let status = if matches!(error, DecodeError::Version(_)) { 505 } else { 400 };
        Self::new(status, error.to_string())
    }
}

impl From<Failure> for Done {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Done {
    pub(super) fn message<T: Serialize>(message: &T) -> Result<Self, Refusal> {
        Ok(Self::Body(Bytes::from(wire::encode(message)?), None))
    }
}

/// The bytes of an answer and the room they take, for as long as they wait to be sent.
struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Call {
    /// The control message of a request that carries nothing else.
    pub(super) async fn message<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        let bytes = self.body.take_rest().await?;
        self.body.check(self.verified.head.body_hash)?;
        Ok(wire::decode(&bytes)?)
    }

    pub(super) fn sender(&self) -> LifeId {
        self.verified.head.sender_life
    }
}

impl Server {
    pub(super) fn new(options: RpcServerOptions, drives: Arc<dyn LocalDrives>) -> Result<Self, RpcError> {
        let life =
            LifeId::random().map_err(|source| RpcError::Io { context: "drawing a random id", source })?;
        // Room for one body of the largest size, or nothing would ever be taken.
        let bodies = options.bodies_bytes_max.clamp(BULK_LENGTH_BYTES_MAX, Semaphore::MAX_PERMITS);
        Ok(Self {
            options,
            drives,
            handles: Arc::default(),
            life,
            replays: ReplayGuard::default(),
            bodies: Arc::new(Semaphore::new(bodies)),
            gates: Mutex::default(),
        })
    }

    pub(super) fn sweep(&self) {
        self.handles.sweep(self.options.idle_limit);
    }

    /// Answers a request. An answer to a sender that is known is signed, whatever it says.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let verified = auth::verify(&self.options.secret, self.options.cluster, &self.replays, &request);
        let (verified, done) = match verified {
            Ok(verified) => (Some(verified), self.carry_out(verified, request).await),
            Err(error) => {
                tracing::warn!(%error, "a request between nodes was refused");
                (None, Err(error.into()))
            }
        };
        let (status, body, room) = match done.and_then(render) {
            Ok(rendered) => rendered,
            Err(refusal) => (refusal.status, Bytes::from(refusal.reason), None),
        };
        let signature = verified.and_then(|it| it.sign_answer(&self.options.secret, status, &body));
        let body = match room {
            Some(room) => Bytes::from_owner(Held { bytes: body, _room: room }),
            None => body,
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(signature) = signature {
            response.headers_mut().insert(auth::HEADER, signature);
        }
        response
    }

    async fn carry_out(
        self: &Arc<Self>,
        verified: Verified,
        request: Request<Incoming>,
    ) -> Result<Done, Refusal> {
        if request.method() != Method::POST {
            return Err(Refusal::new(405, "requests between nodes are POST"));
        }
        let operation = Operation::of_path(request.uri().path())
            .ok_or_else(|| Refusal::new(404, "there is no such operation"))?;
        if operation != Operation::Hello && verified.head.life != self.life {
            return Ok(Failure::OtherLife.into());
        }
        self.handles.hear(verified.head.sender_life);
        let length_bytes = body_length(&request, operation)?;
        // Short ones, heartbeats above all, never wait for the memory that long ones hold.
        let _room =
            if length_bytes > SHORT_LENGTH_BYTES_MAX { Some(self.room(length_bytes).await?) } else { None };
        let body = BodyReader::new(request.into_body(), length_bytes, self.options.progress_deadline);
        self.perform(operation, Call { verified, body }).await
    }

    /// Waits until there is room for so many bytes.
    pub(super) async fn room(&self, length_bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let count = u32::try_from(length_bytes).map_err(|_| Refusal::new(413, "too long"))?;
        let permit =
            timeout(self.options.progress_deadline, Arc::clone(&self.bodies).acquire_many_owned(count)).await;
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Refusal::new(503, "this node has no memory left for requests of others")),
        }
    }

    /// Leave to block on a drive; `None` if too many already do.
    pub(super) fn gate(&self, drive: DriveId) -> Option<OwnedSemaphorePermit> {
        let gate = Arc::clone(
            self.gates.lock().entry(drive).or_insert_with(|| Arc::new(Semaphore::new(BLOCKING_MAX))),
        );
        gate.try_acquire_owned().ok()
    }
}

fn body_length(request: &Request<Incoming>, operation: Operation) -> Result<usize, Refusal> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: usize = length.ok_or_else(|| Refusal::new(411, "the length of the body is not said"))?;
    let limit = if operation.carries_bulk() { BULK_LENGTH_BYTES_MAX } else { CONTROL_LENGTH_BYTES_MAX };
    if length > limit {
        return Err(Refusal::new(413, format!("the body has {length} bytes; at most {limit} are taken")));
    }
    Ok(length)
}

fn render(done: Done) -> Result<(u16, Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    Ok(match done {
        Done::Body(bytes, room) => (200, bytes, room),
        Done::Failed(failure) => (STATUS_FAILURE, Bytes::from(wire::encode(&failure)?), None),
    })
}
