//! A drive of this machine and one of another pass the same suite.

use std::sync::Arc;

use granary_cluster::access::{DriveAccess, LocalDrive};
use granary_cluster::conformance::Harness;
use granary_cluster::rpc::Peer;
use tempfile::TempDir;

use crate::support::{Node, only_drive, open_drive};

struct Local {
    drive: LocalDrive,
    _directory: TempDir,
}

impl Harness for Local {
    fn drive(&self) -> Arc<dyn DriveAccess> {
        Arc::new(self.drive.clone())
    }
}

async fn local() -> Local {
    let directory = tempfile::tempdir().unwrap();
    Local { drive: LocalDrive(open_drive(directory.path(), 1)), _directory: directory }
}

struct Remote {
    drive: Arc<dyn DriveAccess>,
    _peer: Peer,
    _node: Node,
}

impl Harness for Remote {
    fn drive(&self) -> Arc<dyn DriveAccess> {
        Arc::clone(&self.drive)
    }
}

async fn remote() -> Remote {
    let node = Node::start().await;
    let peer = node.peer();
    Remote { drive: only_drive(&peer).await, _peer: peer, _node: node }
}

mod of_this_machine {
    use super::*;
    granary_cluster::drive_conformance_tests!(local());
}

mod of_another_node {
    use super::*;
    granary_cluster::drive_conformance_tests!(remote());
}
