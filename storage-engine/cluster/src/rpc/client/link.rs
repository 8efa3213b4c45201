//! One connection to another node, made anew when it is gone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;

use super::PeerOptions;
use super::body::Pieces;
use super::call::CallError;
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
    pub(super) sender: SendRequest<Pieces>,
    pub(super) session: SessionId,
    number: AtomicU64,
    driver: JoinHandle<()>,
}

impl Connection {
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
        if let Some(connection) = slot.connection.as_ref().filter(|it| !it.sender.is_closed()) {
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
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .max_frame_size(limits::FRAME_LENGTH_BYTES_MAX)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits::SEND_BUFFER_BYTES)
        .keep_alive_interval(limits::PING_INTERVAL)
        .keep_alive_timeout(limits::PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to another node ended");
        }
    });
    Ok(Connection { sender, session: SessionId::random()?, number: AtomicU64::new(1), driver })
}
