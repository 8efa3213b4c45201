//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use granary_auth::Peer;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ProtocolVersion;

use super::dispatch::App;
use super::expect::Expectation;
use super::limits::Limits;
use super::linger::Unread;
use super::listener::Shutdown;
use super::protocol::{Prefixed, Protocol, detect};
use super::refusal::{Refusing, SinceRequest};

/// hyper's read buffer: large enough that a big body takes few reads, small enough for thousands of connections.
/// The tighter limit on heads is checked by [`App`]; what hyper itself refuses, [`Refusing`] words.
const H1_BUFFER_BYTES: usize = 128 * 1024;
/// HTTP/2 receive windows, which bound what a connection may have us buffer.
const H2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const H2_CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const H2_SEND_BUFFER_BYTES: usize = 256 * 1024;
/// Resets that a client may cause before it is hung up on (the "rapid reset" attack).
const H2_MAX_RESETS: usize = 64;
const H2_PING_INTERVAL: Duration = Duration::from_secs(20);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What serving a connection needs.
pub struct Connection {
    /// TLS, if it is on.
    pub tls: Option<TlsAcceptor>,
    /// Where its requests go.
    pub app: Arc<App>,
    /// Its bounds.
    pub limits: Limits,
    /// Tells it to finish.
    pub shutdown: Shutdown,
}

/// Serves one connection until it ends.
///
/// # Errors
/// Whatever ended it early; of interest at debug level only.
pub async fn serve_connection(connection: Connection, stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true).context("TCP_NODELAY")?;
    let address = stream.peer_addr().context("the address of the peer")?.ip();
    let mut stream = TimeoutStream::new(stream);
    // A peer that takes none of what is sent to it holds memory for as long as it likes without this.
    stream.set_write_timeout(Some(connection.limits.stall_timeout));
    let stream = Box::pin(stream);
    match connection.tls.clone() {
        None => serve_stream(connection, stream, Peer { address, tls_version: None }).await,
        Some(tls) => {
            let handshake = timeout(connection.limits.first_byte_timeout, tls.accept(stream));
            let stream = handshake.await.context("TLS handshake timed out")?.context("TLS handshake")?;
            let tls_version = Some(match stream.get_ref().1.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "1.3",
                _ => "1.2",
            });
            serve_stream(connection, stream, Peer { address, tls_version }).await
        }
    }
}

async fn serve_stream<T>(connection: Connection, stream: T, peer: Peer) -> Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Connection { app, limits, mut shutdown, .. } = connection;
    let detected = tokio::select! {
        detected = detect(stream, limits.first_byte_timeout) => detected,
        _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
    };
    let (protocol, stream) = match detected {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
        Err(error) => return Err(error).context("waiting for the first bytes"),
    };
    let app = Answering { app, peer };
    match protocol {
        Protocol::Http1 => serve_http1(stream, app, limits, shutdown).await,
        Protocol::Http2 => serve_http2(TokioIo::new(stream), app, limits, shutdown).await,
    }
}

/// The application, as it answers the requests of one peer.
#[derive(Clone)]
struct Answering {
    app: Arc<App>,
    peer: Peer,
}

impl Answering {
    async fn answer<B>(&self, mut request: http::Request<B>) -> http::Response<axum::body::Body>
    where
        B: http_body::Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
    {
        request.extensions_mut().insert(self.peer);
        self.app.answer(request).await
    }
}

async fn serve_http1<T>(stream: Prefixed<T>, app: Answering, limits: Limits, shutdown: Shutdown) -> Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (since, unread) = (SinceRequest::default(), Unread::default());
    let io = TokioIo::new(Refusing::new(stream, limits.max_header_bytes, since.clone(), unread.clone()));
    let service = service_fn(move |request: http::Request<Incoming>| {
        since.reset();
        let app = app.clone();
        let expectation = Expectation::of(&request);
        let request = request.map(|body| unread.watch(body));
        async move {
            let mut response = app.answer(request).await;
            expectation.settle(&mut response);
            Ok::<_, Infallible>(response)
        }
    });
    // hyper's own limit of 100 headers stays: any other makes it allocate for each request.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(H1_BUFFER_BYTES)
        .serve_connection(io, service);
    until_shutdown(pin!(connection), shutdown, |connection| connection.graceful_shutdown()).await
}

async fn serve_http2<T>(
    io: TokioIo<Prefixed<T>>,
    app: Answering,
    limits: Limits,
    shutdown: Shutdown,
) -> Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: http::Request<Incoming>| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.answer(request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(H2_MAX_RESETS)
        .max_local_error_reset_streams(H2_MAX_RESETS)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .serve_connection(io, service);
    until_shutdown(pin!(connection), shutdown, |connection| connection.graceful_shutdown()).await
}

/// Drives a connection; at the signal to stop, lets it finish the requests it has.
async fn until_shutdown<C>(
    mut connection: Pin<&mut C>,
    mut shutdown: Shutdown,
    finish: impl FnOnce(Pin<&mut C>),
) -> Result<()>
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = shutdown.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            finish(connection.as_mut());
            connection.await
        }
    };
    ended.context("serving HTTP")
}
