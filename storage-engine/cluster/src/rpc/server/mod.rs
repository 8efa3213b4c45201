//! The side that has the drives.

mod backups;
mod body;
mod connection;
mod dispatch;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hand_over;
mod handles;
mod shards;

use std::sync::Arc;
use std::time::Duration;

use granary_types::{ClusterId, DriveId, NodeId};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use self::connection::serve_connection;
use self::dispatch::Server;
pub use self::hand_over::{NotTaken, TakesOver};
use super::error::RpcError;
use super::secret::ClusterSecret;
use super::tls::Tls;
use crate::access::{DriveAccess, LocalDrive};

const SWEEP_INTERVAL: Duration = Duration::from_secs(20);
/// How long open requests may take to end after the signal to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// Out of file descriptors, mostly: a moment later there may be some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The drives of this node, as they are now.
pub trait LocalDrives: Send + Sync + 'static {
    /// All of them.
    fn drives(&self) -> Vec<Arc<dyn DriveAccess>>;

    /// One of them.
    fn find(&self, id: DriveId) -> Option<Arc<dyn DriveAccess>> {
        self.drives().into_iter().find(|drive| drive.id() == id)
    }
}

impl<F> LocalDrives for F
where
    F: Fn() -> Vec<LocalDrive> + Send + Sync + 'static,
{
    fn drives(&self) -> Vec<Arc<dyn DriveAccess>> {
        self().into_iter().map(|drive| Arc::new(drive) as Arc<dyn DriveAccess>).collect()
    }
}

/// How the drives of this node are served.
#[derive(Debug, Clone)]
pub struct RpcServerOptions {
    /// The secret of the cluster.
    pub secret: ClusterSecret,
    /// The cluster.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
    /// Mutual TLS, if it is on.
    pub tls: Option<Tls>,
    /// Who takes what other nodes hand over; without it nothing is taken.
    pub takes_over: Option<Arc<dyn TakesOver>>,
    /// Connections held at once.
    pub connections_max: usize,
    /// Bytes of request and answer bodies held at once.
    pub bodies_bytes_max: usize,
    /// How long the first byte, a TLS handshake, or the next piece of a body may take.
    pub progress_deadline: Duration,
    /// After how long without use a replacement that nobody installs is dropped, and a shard that was opened to be read
    /// is closed.
    pub idle_limit: Duration,
}

impl RpcServerOptions {
    /// With the usual bounds and no TLS.
    #[must_use]
    pub fn new(secret: ClusterSecret, cluster: ClusterId, node: NodeId) -> Self {
        Self {
            secret,
            cluster,
            node,
            tls: None,
            takes_over: None,
            connections_max: 512,
            bodies_bytes_max: 256 * 1024 * 1024,
            progress_deadline: Duration::from_secs(5),
            idle_limit: Duration::from_mins(10),
        }
    }
}

/// Serves the drives of this node on `listener` until `shutdown` says so (or its sender is gone), then lets open
/// requests end. Dropped, it hangs up at once.
///
/// # Errors
/// When the operating system gives no random bytes.
pub async fn serve(
    listener: TcpListener,
    options: RpcServerOptions,
    drives: Arc<dyn LocalDrives>,
    shutdown: watch::Receiver<bool>,
) -> Result<(), RpcError> {
    let slots = Arc::new(Semaphore::new(options.connections_max));
    let server = Arc::new(Server::new(options, drives)?);
    let mut connections = JoinSet::new();
    let mut stop = shutdown.clone();
    let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            _ = sweep.tick() => {
                server.sweep();
                continue;
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection of another node can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tracing::warn!("too many connections of other nodes: one was refused");
            continue;
        };
        let (server, shutdown) = (Arc::clone(&server), shutdown.clone());
        connections.spawn(async move {
            let _slot = slot;
            if let Err(error) = serve_connection(server, stream, shutdown).await {
                tracing::debug!(%error, "a connection of another node ended");
            }
        });
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}
