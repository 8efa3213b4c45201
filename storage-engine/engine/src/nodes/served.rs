//! The drives of this node, and its packer, served to the others.

use std::sync::Arc;

use granary_cluster::access::LocalDrive;
use granary_cluster::rpc::{LocalDrives, RpcServerOptions, TakesOver, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Nodes;
use crate::write::Door;

/// Serves until it is stopped, which lets what is under way end; dropped, it ends where it is.
pub(crate) struct Served {
    pub(crate) nodes: Arc<Nodes>,
    /// Where other nodes hand over what is to be packed here.
    pub(crate) door: Arc<Door>,
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
        let door = Arc::new(Door::default());
        options.takes_over = Some(Arc::clone(&door) as Arc<dyn TakesOver>);
        let task = tokio::spawn(async move {
            if let Err(error) = serve(listener, options, local, stopped).await {
                tracing::error!(%error, "the drives are not served to other nodes");
            }
        });
        Self { nodes, door, stop, task }
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
