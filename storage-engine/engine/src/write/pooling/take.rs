//! The head's side: what others hand over goes into the groups of this node.

use bytes::Bytes;
use granary_cluster::rpc::NotTaken;
use granary_types::{Etag, NodeId, UnixMillis};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::codec::{self, Answer, Stored, Taken, TakenObject};
use crate::write::etags::Draft;
use crate::write::group::NotStored;
use crate::write::incoming::Request;
use crate::write::packer::{Answered, Packer};

/// What is waited for of one object.
struct Awaited {
    answered: oneshot::Receiver<Answered>,
    etag: Option<oneshot::Receiver<Etag>>,
}

impl Packer {
    /// Packs what another node hands over, and answers when all of it is committed or refused.
    ///
    /// # Errors
    /// [`NotTaken`], if nothing was taken.
    pub(crate) async fn take_over(&self, sender: NodeId, pieces: Vec<Bytes>) -> Result<Bytes, NotTaken> {
        let Some(Taken { load, stamp_us, objects }) = codec::taken(pieces) else {
            metrics::counter!("granary_pool_refused_total").increment(1);
            tracing::warn!(%sender, "what another node handed over cannot be read, and was not taken");
            return Err(NotTaken::Malformed);
        };
        let queues = self.queues();
        let tiers = &queues.shared.pool.tiers;
        let usual = tiers.usual();
        let belongs = |object: &TakenObject| {
            let class = object.storage_class();
            class.is_some_and(|class| tiers.for_writing(class).is_ok_and(|tier| tier == usual))
        };
        if !objects.iter().all(belongs) {
            return Err(NotTaken::Closed);
        }
        let count = objects.len();
        let (mut requests, mut awaited) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for object in objects {
            let (request, waits) = self.request_of(object).ok_or(NotTaken::Malformed)?;
            requests.push(request);
            awaited.push(waits);
        }
        // One whose packer has panicked stores nothing more.
        let queue = queues.queue(usual).filter(|queue| !queue.requests.is_closed());
        let queue = queue.ok_or(NotTaken::Closed)?;
        let loads = &self.pooling().loads;
        loads.heard.lock().hear(sender, load, Instant::now());
        queues.shared.stamps.lock().raise(stamp_us, UnixMillis::now().0);
        metrics::counter!("granary_pool_taken_total").increment(count as u64);
        for request in requests {
            // It can only fail if the packer panics now: then the reply is dropped.
            let _sent = queue.requests.send(request).await;
        }
        drop(queue);
        let mut results = Vec::with_capacity(count);
        for waits in awaited {
            results.push(waits.result().await);
        }
        let stamp_us = queues.shared.stamps.lock().last_us();
        let answer = Answer { stamp_us, others: loads.others(sender), results };
        // Without an answer the outcome is unknown there, as it should be.
        Ok(answer.encode().unwrap_or_default())
    }

    fn request_of(&self, object: TakenObject) -> Option<(Request, Awaited)> {
        let TakenObject { mut item, write, untagged } = object;
        let (room, etag) = match untagged {
            None => (None, None),
            Some(of) => {
                let (draft, etag) = Draft::untagged(std::mem::take(&mut item.record), of).ok()?;
                item.record = draft.record;
                (draft.room, Some(etag))
            }
        };
        let (reply, answered) = oneshot::channel();
        let waiting = Some(self.queues().waiting());
        let request = Request { items: vec![item], write, room, reply, _waiting: waiting };
        Some((request, Awaited { answered, etag }))
    }
}

impl Awaited {
    async fn result(self) -> Result<Stored, NotStored> {
        let (outcomes, waits) = self.answered.await.unwrap_or(Err(NotStored::Unknown))?;
        let etag = match self.etag {
            None => None,
            Some(mut etag) => Some(etag.try_recv().map_err(|_| NotStored::Unknown)?),
        };
        let stored = outcomes.first().and_then(|outcome| Stored::new(outcome, etag, waits));
        stored.ok_or(NotStored::Unknown)
    }
}
