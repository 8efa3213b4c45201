//! The drives of this node, served to the others.

use std::sync::Arc;

use granary_cluster::access::LocalDrive;
use granary_cluster::rpc::{LocalDrives, RpcServerOptions, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Nodes;

/// Serves until it is stopped, which lets what is under way end; dropped, it ends where it is.
pub(crate) struct Served {
    pub(crate) nodes: Arc<Nodes>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) fn start(nodes: Arc<Nodes>, listener: TcpListener) -> Self {
        let (stop, stopped) = watch::channel(false);
        let drives = Arc::clone(&nodes.drives);
        let local: Arc<dyn LocalDrives> =
            Arc::new(move || drives.local().into_iter().map(LocalDrive).collect::<Vec<_>>());
        let mut options = RpcServerOptions::new(nodes.secret.clone(), nodes.cluster, nodes.id);
        options.tls = nodes.tls.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = serve(listener, options, local, stopped).await {
                tracing::error!(%error, "the drives are not served to other nodes");
            }
        });
        Self { nodes, stop, task }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        let _ended = (&mut self.task).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
#[path = "served_tests.rs"]
mod tests;
