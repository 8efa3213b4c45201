//! The accept loop.
//!
//! `axum::serve` installs no timer, so that its header timeouts do nothing, and bounds nothing; hence a loop of our
//! own. Each connection holds a permit; when there is none left, a plain-text connection is told 503 and closed, a TLS
//! one is closed. After the signal to stop, nothing is accepted, idle connections are closed, and requests in progress
//! have until the drain timeout.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::connection::{Connection, serve_connection};
use super::dispatch::App;
use super::limits::Limits;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// The pause after a failure to accept: descriptors have run out, most likely, and come back as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
                      Connection: close\r\n\r\n";

/// Becomes true when the server is to stop.
pub type Shutdown = watch::Receiver<bool>;

/// Opens the listening socket.
///
/// # Errors
/// The address is in use or not ours.
pub fn bind(address: SocketAddr) -> Result<TcpListener> {
    let open = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().with_context(|| format!("listening at {address}"))
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Every connection ended by itself.
    Complete,
    /// The drain timeout cut this many connections off.
    CutOff(usize),
}

/// Accepts connections until `shutdown`, then drains them.
pub async fn run(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Arc<App>,
    limits: Limits,
    mut shutdown: Shutdown,
) -> Drain {
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let (hang_up, hung_up) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&permits).try_acquire_owned() {
                Ok(permit) => {
                    let connection = Connection {
                        tls: tls.clone(),
                        app: Arc::clone(&app),
                        limits,
                        shutdown: shutdown.clone(),
                    };
                    start(connection, stream, peer, permit, hung_up.clone());
                }
                Err(_) => refuse(&stream, tls.is_some()),
            },
            Err(error) => {
                warn!(%error, "accepting a connection failed");
                metrics::counter!("granary_accept_errors_total").increment(1);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drain(&permits, limits, &hang_up).await
}

fn start(
    connection: Connection,
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    mut hung_up: watch::Receiver<bool>,
) {
    tokio::spawn(async move {
        let open = metrics::gauge!("granary_connections");
        open.increment(1.0);
        tokio::select! {
            ended = serve_connection(connection, stream) => {
                if let Err(error) = ended {
                    debug!(%peer, error = %error, "connection ended");
                }
            }
            _ = hung_up.wait_for(|cut| *cut) => {}
        }
        open.decrement(1.0);
        drop(permit);
    });
}

/// Turns a connection away without spending a task on it: one write that does not wait.
fn refuse(stream: &TcpStream, is_tls: bool) {
    metrics::counter!("granary_connections_refused_total").increment(1);
    if !is_tls {
        let _ = stream.try_write(BUSY);
    }
}

async fn drain(permits: &Semaphore, limits: Limits, hang_up: &watch::Sender<bool>) -> Drain {
    let open = limits.max_connections.saturating_sub(permits.available_permits());
    info!(open, "draining connections");
    let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(limits.drain_timeout, permits.acquire_many(all)).await.is_ok() {
        return Drain::Complete;
    }
    let open = limits.max_connections.saturating_sub(permits.available_permits());
    warn!(open, "the drain timeout cut connections off");
    let _ = hang_up.send(true);
    Drain::CutOff(open)
}
