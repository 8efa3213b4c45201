//! One request to another node, and what is known of that node.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use granary_types::NodeId;
use h2::RecvStream;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::body::{Pieces, Progress};
use super::call_error::{CallError, text};
use super::link::{Connection, Link};
use super::{PeerOptions, PeerState};
use crate::rpc::auth::{self, HEADER, RequestHead, Verified};
use crate::rpc::error::RpcError;
use crate::rpc::limits::{CONTROL_LENGTH_BYTES_MAX, READ_LENGTH_BYTES_MAX};
use crate::rpc::wire::{self, Failure, Handle, HelloAnswer, LifeId, Operation};

const ANSWER_LENGTH_BYTES_MAX: usize = if READ_LENGTH_BYTES_MAX > CONTROL_LENGTH_BYTES_MAX {
    READ_LENGTH_BYTES_MAX
} else {
    CONTROL_LENGTH_BYTES_MAX
};
/// Handles that wait to be closed. Beyond that the other side closes them by itself, when they are idle.
const CLOSING_MAX: usize = 65_536;

/// The answer to what is handed over comes within this: a node that waits for the database gives up before.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(30);

/// Which connection takes a request: small appends and heartbeats never wait behind runs of large objects.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Control,
    Bulk,
    Read,
}

/// What is asked of whom.
struct Ask {
    way: Way,
    operation: Operation,
    life: LifeId,
    /// How long nothing may move.
    deadline: Duration,
    /// How long an answer is waited for that does not come while the node gives signs of life.
    patience: Duration,
}

/// What a node is known to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) node: Option<NodeId>,
    pub(super) life: LifeId,
    heard: Option<Instant>,
    stalled: Option<Instant>,
}

/// What all drives of one node share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: PeerOptions,
    /// This life of this process, as the other side knows it.
    own_life: LifeId,
    links: [Link; 3],
    known: Mutex<Known>,
    closing: Mutex<Vec<(LifeId, Handle)>>,
    /// Asks for a heartbeat now.
    pub(super) wake: Notify,
}

impl Shared {
    pub(super) fn new(options: PeerOptions) -> Result<Self, RpcError> {
        let own_life =
            LifeId::random().map_err(|source| RpcError::Io { context: "drawing a random id", source })?;
        Ok(Self {
            options,
            own_life,
            links: [Link::new(), Link::new(), Link::new()],
            known: Mutex::new(Known { node: None, life: LifeId::ANY, heard: None, stalled: None }),
            closing: Mutex::default(),
            wake: Notify::new(),
        })
    }

    fn link(&self, way: Way) -> &Link {
        let [control, bulk, read] = &self.links;
        match way {
            Way::Control => control,
            Way::Bulk => bulk,
            Way::Read => read,
        }
    }

    pub(super) fn known(&self) -> Known {
        *self.known.lock()
    }

    pub(super) fn state(&self) -> PeerState {
        let Some(heard) = self.known().heard else { return PeerState::Dead { quiet: None } };
        let (quiet, timing) = (heard.elapsed(), &self.options.timing);
        if quiet < timing.suspect_after {
            PeerState::Alive { quiet }
        } else if quiet < timing.dead_after {
            PeerState::Suspect { quiet }
        } else {
            PeerState::Dead { quiet: Some(quiet) }
        }
    }

    /// Whether it is of use to ask: a node that stopped answering is not waited for again and again.
    fn check_alive(&self) -> Result<(), CallError> {
        let known = self.known();
        match self.state() {
            PeerState::Dead { .. } => Err(CallError::Unreachable("the node does not answer".to_owned())),
            PeerState::Suspect { .. } if known.stalled > known.heard => Err(CallError::Stalled),
            _ => Ok(()),
        }
    }

    /// Asks who is there.
    pub(super) async fn hello(&self) -> Result<HelloAnswer, CallError> {
        // So that several are missed, on connections of their own, before the node is suspected.
        let deadline = self.options.timing.suspect_after / 3;
        let body = vec![Bytes::from(encode(&())?)];
        let (way, operation, life) = (Way::Control, Operation::Hello, LifeId::ANY);
        let ask = Ask { way, operation, life, deadline, patience: Duration::ZERO };
        let answer = self.exchange(ask, body).await;
        if matches!(answer, Err(CallError::Stalled)) {
            self.link(Way::Control).give_up().await;
        }
        let hello: HelloAnswer = decode(&answer?)?;
        if hello.cluster != self.options.cluster {
            return Err(CallError::Refused("it belongs to another cluster".to_owned()));
        }
        if self.options.expected.is_some_and(|expected| expected != hello.node) {
            return Err(CallError::Refused(format!("another node answers there: {}", hello.node)));
        }
        let mut known = self.known.lock();
        known.heard = Some(Instant::now());
        known.node = Some(hello.node);
        known.life = hello.life;
        Ok(hello)
    }

    /// Asks for something with a control message and gets one.
    pub(super) async fn ask<T: Serialize, R: DeserializeOwned>(
        &self,
        operation: Operation,
        life: LifeId,
        message: &T,
    ) -> Result<R, CallError> {
        let body = vec![Bytes::from(encode(message)?)];
        decode(&self.call(Way::Control, operation, life, body).await?)
    }

    /// One request and its answer. `life` is whom it is for.
    pub(super) async fn call(
        &self,
        way: Way,
        operation: Operation,
        life: LifeId,
        body: Vec<Bytes>,
    ) -> Result<Bytes, CallError> {
        self.check_alive()?;
        let deadline = self.options.timing.progress_deadline;
        self.settle(Ask { way, operation, life, deadline, patience: Duration::ZERO }, body).await
    }

    /// Hands pieces of bytes over. The answer comes when they are durable: so long as the node gives signs of life, it is
    /// waited for.
    pub(super) async fn hand_over(&self, body: Vec<Bytes>) -> Result<Bytes, CallError> {
        if !self.state().is_alive() {
            return Err(CallError::Unreachable("the node does not answer".to_owned()));
        }
        let (way, operation, life) = (Way::Control, Operation::HandOver, self.known().life);
        let (deadline, patience) = (self.options.timing.progress_deadline, HAND_OVER_PATIENCE);
        self.settle(Ask { way, operation, life, deadline, patience }, body).await
    }

    /// Asks, and remembers what that tells of the node.
    async fn settle(&self, ask: Ask, body: Vec<Bytes>) -> Result<Bytes, CallError> {
        let life = ask.life;
        if life != self.known().life {
            return Err(CallError::OtherLife);
        }
        let answer = self.exchange(ask, body).await;
        let mut known = self.known.lock();
        match &answer {
            Err(CallError::Stalled | CallError::Crowded) => known.stalled = Some(Instant::now()),
            // Whatever it answers to its own handles, it answers.
            Ok(_) | Err(CallError::Drive(_) | CallError::NoHandle | CallError::NotTaken)
                if known.life == life =>
            {
                known.heard = Some(Instant::now());
            }
            Err(CallError::OtherLife) => self.wake.notify_one(),
            _ => {}
        }
        answer
    }

    async fn exchange(&self, ask: Ask, body: Vec<Bytes>) -> Result<Bytes, CallError> {
        let Ask { way, operation, life, deadline, patience } = ask;
        let link = self.link(way);
        let closed = || CallError::Unreachable("the link is closed".to_owned());
        let turn = tokio::time::timeout(deadline, link.in_flight.acquire()).await;
        let _turn = turn.map_err(|_| CallError::Crowded)?.map_err(|_| closed())?;
        let connection = link.connection(&self.options).await?;
        let progress = Progress::new();
        let pieces = Pieces::new(body);
        let (request, verified) = self.sign(&connection, operation, life, &pieces)?;
        let begun = Instant::now();
        let mut exchange = pin!(round_trip(&connection, request, pieces, &progress));
        let (parts, body) = loop {
            match progress.watch(deadline, exchange.as_mut()).await {
                Some(done) => break done?,
                None if begun.elapsed() < patience && self.state().is_alive() => progress.note(),
                None => return Err(CallError::Stalled),
            }
        };
        let status = parts.status.as_u16();
        if !verified.vouches(&self.options.secret, status, &parts.headers, &body) {
            let said = if status == 200 { "nothing that can be believed".into() } else { text(&body) };
            return Err(CallError::Refused(format!("an answer that is not authentic ({status}): {said}")));
        }
        link.proven(&connection).await;
        match status {
            200 => Ok(body),
            422 => Err(decode::<Failure>(&body)?.into()),
            _ => {
                let reason = format!("refused ({status}): {}", text(&body));
                Err(CallError::Declined { status, reason })
            }
        }
    }

    fn sign(
        &self,
        connection: &Connection,
        operation: Operation,
        life: LifeId,
        body: &Pieces,
    ) -> Result<(Request<()>, Verified), CallError> {
        let head = RequestHead {
            cluster: self.options.cluster,
            sender: self.options.node,
            sender_life: self.own_life,
            life,
            timestamp_ms: auth::now_ms(),
            session: connection.session,
            number: connection.next_number(),
            body_hash: *body.hash().as_bytes(),
        };
        let unsigned = || CallError::Refused("the request cannot be signed".to_owned());
        let (value, verified) = auth::sign(&self.options.secret, operation, head).ok_or_else(unsigned)?;
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        let request = Request::post(format!("{scheme}://granary{}", operation.path()))
            .header(HEADER, value)
            .header(CONTENT_LENGTH, body.length_bytes())
            .body(())
            .map_err(|_| unsigned())?;
        Ok((request, verified))
    }

    /// Gives all connections up, so that a node that comes back is met on new ones.
    pub(super) async fn hang_up(&self) {
        for link in &self.links {
            link.give_up().await;
        }
    }

    /// Has a handle closed with one of the next heartbeats.
    pub(super) fn close_later(&self, life: LifeId, handle: Handle) {
        let mut closing = self.closing.lock();
        if closing.len() < CLOSING_MAX {
            closing.push((life, handle));
        }
    }

    /// Closes what waits for it.
    pub(super) async fn close_handles(&self) {
        const AT_ONCE_MAX: usize = 4096;
        let life = self.known().life;
        let handles: Vec<Handle> = {
            let mut closing = self.closing.lock();
            closing.retain(|(of, _)| *of == life);
            let count = closing.len().min(AT_ONCE_MAX);
            closing.drain(..count).map(|(_, handle)| handle).collect()
        };
        if handles.is_empty() {
            return;
        }
        if self.ask::<_, ()>(Operation::Close, life, &handles).await.is_err() {
            self.closing.lock().extend(handles.into_iter().map(|handle| (life, handle)));
        }
    }
}

/// Sends a request and takes its answer. What is on its way when this is dropped is called off.
async fn round_trip(
    connection: &Connection,
    request: Request<()>,
    body: Pieces,
    progress: &Progress,
) -> Result<(http::response::Parts, Bytes), CallError> {
    let is_empty = body.length_bytes() == 0;
    let begun = connection.sender.clone().send_request(request, is_empty);
    let unsent = |error: h2::Error| CallError::Unsent(text(error.to_string().as_bytes()));
    let (mut answer, mut stream) = begun.map_err(unsent)?;
    let answer = tokio::select! {
        biased;
        // Why it could not be sent, or that it need not be, is what the answer says.
        _sent = body.send(&mut stream, progress) => answer.await,
        answer = &mut answer => answer,
    };
    let (parts, body) = answer?.into_parts();
    let came = || {
        progress.note();
        connection.hear();
    };
    came();
    let body = collect(body, &parts.headers, came).await?;
    Ok((parts, body))
}

async fn collect(mut body: RecvStream, headers: &HeaderMap, came: impl Fn()) -> Result<Bytes, CallError> {
    let too_long = || CallError::Refused(format!("an answer of more than {ANSWER_LENGTH_BYTES_MAX} bytes"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let expected: usize = announced.unwrap_or(0);
    if expected > ANSWER_LENGTH_BYTES_MAX {
        return Err(too_long());
    }
    let mut collected = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        came();
        body.flow_control().release_capacity(data.len())?;
        if collected.len() + data.len() > ANSWER_LENGTH_BYTES_MAX {
            return Err(too_long());
        }
        if collected.is_empty() && data.len() == expected && body.is_end_stream() {
            // An answer that came in one frame is handed on as it is.
            return Ok(data);
        }
        collected.reserve(expected.saturating_sub(collected.len()).max(data.len()));
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}

pub(super) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CallError> {
    wire::encode(message).map_err(|error| CallError::Refused(error.to_string()))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CallError> {
    wire::decode(bytes).map_err(|error| CallError::Refused(error.to_string()))
}
