//! Where other nodes' hand-overs come in.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use granary_cluster::rpc::{NotTaken, TakesOver};
use granary_types::NodeId;

use crate::engine::Inner;

/// Other nodes are listened to before the store is open, and a little longer than it is.
#[derive(Debug, Default)]
pub(crate) struct Door {
    store: OnceLock<Weak<Inner>>,
}

impl Door {
    /// From now on something is taken.
    pub(crate) fn open(&self, store: &Arc<Inner>) {
        let _once = self.store.set(Arc::downgrade(store));
    }
}

#[async_trait]
impl TakesOver for Door {
    async fn take_over(&self, sender: NodeId, pieces: Vec<Bytes>) -> Result<Bytes, NotTaken> {
        let store = self.store.get().and_then(Weak::upgrade).ok_or(NotTaken::Closed)?;
        store.packer.take_over(sender, pieces).await
    }
}
