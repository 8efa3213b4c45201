//! One connection to another node, made anew when it is gone.
//!
//! It is the `h2` that hyper speaks with, without hyper's client: that one sends the head of a request by itself and has a task
//! send the body after it, so that each request was two packets and two wakings on either side.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::poll_fn;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;

use super::PeerOptions;
use super::call_error::CallError;
use crate::rpc::limits;
use crate::rpc::wire::SessionId;

const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Requests of one connection at once; a few less than the other side allows.
const IN_FLIGHT_MAX: usize = limits::STREAMS_MAX as usize - 8;

/// A connection that may be up or down.
#[derive(Debug)]
pub(super) struct Link {
    slot: Mutex<Slot>,
    /// Leave to have a request in flight.
    pub(super) in_flight: Semaphore,
    /// Where connections live, whoever needs one first.
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<Arc<Connection>>,
    /// Not before this is another attempt made.
    retry: Option<(Instant, Duration)>,
}

/// A connection that is up, as far as is known.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) session: SessionId,
    number: AtomicU64,
    /// Whether an answer came over it.
    is_proven: AtomicBool,
    /// Whether something came since this was last looked at.
    is_heard: Arc<AtomicBool>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Whether it takes another request, as far as is known.
    fn is_open(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        // The other side may have said that it ends, while answers to what it took are still coming.
        !self.driver.is_finished()
            && matches!(self.sender.clone().poll_ready(&mut context), Poll::Ready(Ok(())))
    }

    /// Something came over it.
    pub(super) fn hear(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
    }

    pub(super) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    /// Must be called within the runtime that connections are to live in.
    pub(super) fn new() -> Self {
        let in_flight = Semaphore::new(IN_FLIGHT_MAX);
        Self { slot: Mutex::default(), in_flight, runtime: Handle::current() }
    }

    /// The connection; a new one if there is none.
    pub(super) async fn connection(&self, options: &PeerOptions) -> Result<Arc<Connection>, CallError> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = slot.connection.as_ref().filter(|it| it.is_open()) {
            return Ok(Arc::clone(connection));
        }
        slot.connection = None;
        if slot.retry.is_some_and(|(at, _)| Instant::now() < at) {
            return Err(CallError::Unreachable("the node cannot be reached".to_owned()));
        }
        // Not before an answer proves that somebody is there does the pause begin anew.
        let pause = slot.retry.map_or(PAUSE_FIRST, |(_, pause)| pause * 2);
        let pause = pause.min(options.timing.reconnect_pause_max);
        slot.retry = Some((Instant::now() + pause, pause));
        let connecting = self.runtime.spawn(connect_in_time(options.clone()));
        let connected = connecting.await.unwrap_or_else(|error| Err(no_connection(&error)));
        slot.retry = Some((Instant::now() + pause, pause));
        Ok(Arc::clone(slot.connection.insert(Arc::new(connected?))))
    }

    /// An answer came: the next attempt, when this connection ends, need not wait.
    pub(super) async fn proven(&self, connection: &Arc<Connection>) {
        if connection.is_proven.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut slot = self.slot.lock().await;
        if slot.connection.as_ref().is_some_and(|it| Arc::ptr_eq(it, connection)) {
            slot.retry = None;
        }
    }

    /// Gives a connection up on which nothing comes back.
    pub(super) async fn give_up(&self) {
        self.slot.lock().await.connection = None;
    }
}

async fn connect_in_time(options: PeerOptions) -> Result<Connection, CallError> {
    let connected = tokio::time::timeout(options.timing.connect_deadline, connect(&options)).await;
    let in_time = connected.map_err(|_| CallError::Unreachable("no connection in time".to_owned()))?;
    in_time.map_err(|error| no_connection(&error))
}

fn no_connection(error: &impl std::fmt::Display) -> CallError {
    CallError::Unreachable(format!("no connection: {error}"))
}

async fn connect(options: &PeerOptions) -> io::Result<Connection> {
    let stream = TcpStream::connect(&options.address).await?;
    stream.set_nodelay(true)?;
    match &options.tls {
        None => shake_hands(stream).await,
        Some(tls) => shake_hands(tls.connector.connect(tls.server_name.clone(), stream).await?).await,
    }
}

async fn shake_hands<T>(stream: T) -> io::Result<Connection>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .max_frame_size(limits::FRAME_LENGTH_BYTES_MAX)
        .initial_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .initial_max_send_streams(IN_FLIGHT_MAX)
        .max_send_buffer_size(limits::SEND_BUFFER_BYTES)
        .handshake::<T, Bytes>(stream)
        .await
        .map_err(io::Error::other)?;
    let (pings, is_heard) = (connection.ping_pong(), Arc::new(AtomicBool::new(false)));
    let heard = Arc::clone(&is_heard);
    let driver = tokio::spawn(async move {
        // Whoever waits for an answer over a connection that is dropped is told that it ended.
        let ended = tokio::select! {
            // What has come is read before silence is judged: after a hold-up of this process it was this side that was deaf.
            biased;
            ended = connection => ended.map_err(io::Error::other),
            () = silence(pings, &heard) => Err(io::ErrorKind::TimedOut.into()),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to another node ended");
        }
    });
    let (session, number, is_proven) = (SessionId::random()?, AtomicU64::new(1), AtomicBool::new(false));
    Ok(Connection { sender, session, number, is_proven, is_heard, driver })
}

/// Ends when nothing comes from the other side, not even the answer to a ping.
async fn silence(pings: Option<PingPong>, is_heard: &AtomicBool) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        tokio::time::sleep(limits::PING_INTERVAL).await;
        if is_heard.swap(false, Ordering::Relaxed) {
            continue;
        }
        if pings.send_ping(Ping::opaque()).is_err() {
            // The connection tells by itself why it ended.
            return std::future::pending().await;
        }
        loop {
            let pong = poll_fn(|context| pings.poll_pong(context));
            match tokio::time::timeout(limits::PING_TIMEOUT, pong).await {
                Ok(Ok(_pong)) => break,
                Ok(Err(_)) => return std::future::pending().await,
                // It may be on its way behind a long answer.
                Err(_) if is_heard.swap(false, Ordering::Relaxed) => {}
                Err(_) => return,
            }
        }
    }
}
