//! One connection of another node.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use super::dispatch::Server;
use crate::rpc::limits;

/// Serves a connection until it ends, or until it has answered what it has after the signal to stop.
pub(super) async fn serve_connection(
    server: Arc<Server>,
    stream: TcpStream,
    shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let deadline = server.options.progress_deadline;
    // Whoever says nothing at first (not even HTTP/2's preface) is hung up on.
    let first = timeout(deadline, stream.peek(&mut [0; 1])).await;
    if first.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
        return Ok(());
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_read_timeout(Some(limits::CONNECTION_IDLE));
    stream.set_write_timeout(Some(limits::CONNECTION_IDLE));
    let stream = Box::pin(stream);
    match server.options.tls.clone() {
        None => serve_http2(server, stream, shutdown).await,
        Some(tls) => {
            let stream = timeout(deadline, tls.acceptor.accept(stream)).await;
            serve_http2(server, stream.map_err(|_| io::ErrorKind::TimedOut)??, shutdown).await
        }
    }
}

async fn serve_http2<T>(server: Arc<Server>, stream: T, mut shutdown: watch::Receiver<bool>) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS_MAX)
        .max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .max_frame_size(limits::FRAME_LENGTH_BYTES_MAX)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits::SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(limits::RESETS_MAX)
        .max_local_error_reset_streams(limits::RESETS_MAX)
        .keep_alive_interval(limits::PING_INTERVAL)
        .keep_alive_timeout(limits::PING_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(io::Error::other),
        _ = shutdown.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.map_err(io::Error::other)
}
