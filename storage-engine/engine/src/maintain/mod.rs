//! What goes on behind the requests: healing, scrubbing, compaction, and giving room back.
//!
//! One loop looks every few seconds for what is cheap and due: sealing retired volumes, looking after the drives,
//! healing what readers found damaged, freeing and removing dead volumes, compacting the worst. Heals, scrubs and
//! compactions asked for by an operator are [`Tasks`] with progress.

mod ahead;
mod around;
mod compact;
mod damage;
mod ends;
mod heal;
mod healed;
mod moves;
mod new_file;
mod packed;
mod pages;
mod rebuild;
mod reclaim;
mod records;
mod rewrite;
#[cfg(test)]
pub(crate) mod sample;
mod scrub;
mod shared;
mod stretch;
mod tasks;
mod walk;
mod watch;
mod window;

use std::sync::Arc;

use granary_drive::Resting;
use tokio::sync::Notify;

use crate::engine::{Engine, Inner};
use crate::error::Result;
use crate::lifecycle::{Aim, follow_forever};
use crate::tier_status::show_tiers;

use around::Around;
#[cfg(test)]
pub(crate) use compact::compact_volume;
pub(crate) use damage::DamageLog;
pub(crate) use ends::{has_regressed, remembered_ends};
pub(crate) use healed::RecentHeals;
pub use moves::{DrainPlan, DrainStatus, Fate, Leaving, MoveStep, RebalanceStatus};
pub(crate) use moves::{MoveBoard, Pacer, Throttle, named_node};
pub(crate) use packed::{Entry, packed_entries};
pub(crate) use rebuild::block_of;
use reclaim::Reclaimer;
#[cfg(test)]
pub(crate) use records::{may_hold_records, records_in};
#[cfg(test)]
pub(crate) use rewrite::destination;
pub(crate) use rewrite::{Rewritten, Span, copy_span, rewrite, verify_extent};
pub(crate) use stretch::{Stretch, Stripes, stretches};
pub(crate) use tasks::Tasks;
pub use tasks::{TaskId, TaskKind, TaskProgress, TaskState};
pub(crate) use walk::{Step, Walk};

/// The background loop; ends when stopped.
pub(crate) struct Maintenance {
    stop: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
    /// Beside the loop, as it may take minutes.
    backups: tokio::task::JoinHandle<()>,
    lifecycles: tokio::task::JoinHandle<()>,
    transitions: tokio::task::JoinHandle<()>,
    moves: tokio::task::JoinHandle<()>,
    fail_overs: tokio::task::JoinHandle<()>,
    warm: tokio::task::JoinHandle<()>,
}

impl Maintenance {
    pub(crate) fn start(engine: &Engine) -> Self {
        let stop = Arc::new(Notify::new());
        let stopping = Arc::clone(&stop);
        let inner = Arc::clone(&engine.inner);
        let upkeep = Arc::clone(&inner.upkeep);
        let task = upkeep.spawn(async move {
            let mut background = Background::default();
            loop {
                tokio::select! {
                    () = stopping.notified() => return,
                    () = tokio::time::sleep(inner.options.maintenance_interval) => {}
                    () = inner.damage.reported() => {}
                }
                tokio::select! {
                    () = stopping.notified() => return,
                    () = round(&inner, &mut background) => {}
                }
            }
        });
        let backups = upkeep.spawn(crate::moving::back_up_forever(Arc::clone(&engine.inner)));
        let follow = |aim| upkeep.spawn(follow_forever(Arc::clone(&engine.inner), aim));
        let (lifecycles, transitions) = (follow(Aim::Delete), follow(Aim::Move));
        let moves = upkeep.spawn(moves::move_forever(Arc::clone(&engine.inner)));
        let fail_overs = upkeep.spawn(crate::fail_over::follow_fail_overs(Arc::clone(&engine.inner)));
        let warm = upkeep.spawn(crate::warm::keep_warm_forever(Arc::clone(&engine.inner)));
        Self { stop, task, backups, lifecycles, transitions, moves, fail_overs, warm }
    }

    /// Ends the loop where it is; whatever it was doing is crash-safe and begun again at the next start.
    pub(crate) async fn stop(self) {
        self.backups.abort();
        self.lifecycles.abort();
        self.transitions.abort();
        self.moves.abort();
        self.fail_overs.abort();
        self.warm.abort();
        self.stop.notify_one();
        let _ended = self.task.await;
        let others =
            [self.backups, self.lifecycles, self.transitions, self.moves, self.fail_overs, self.warm];
        let _aborted = futures::future::join_all(others).await;
    }
}

/// What the loop remembers from round to round.
#[derive(Default)]
struct Background {
    reclaimer: Reclaimer,
    compactor: compact::Compactor,
    ends: ends::Remembered,
    pages: pages::Pages,
    around: Around,
}

/// One round. A step that fails is tried again in the next and does not keep the others from their turn.
async fn round(inner: &Arc<Inner>, background: &mut Background) {
    watch::watch_drives(inner, Resting::Skip).await;
    show_tiers(inner);
    let said = |step: &str, result: Result<()>| {
        if let Err(error) = result {
            tracing::warn!(step, %error, "background work failed and will be tried again");
        }
    };
    if let Some(nodes) = &inner.nodes {
        inner.pool.retire_unfit().await;
        if background.around.may_heal_more(nodes.answering().collect(), inner.drives.retired()) {
            inner.damage.resume();
        }
    } else {
        inner.pool.retire_needless().await;
    }
    said("seal", inner.pool.seal_retired().await);
    said("heal", heal::heal_reported(inner).await);
    if inner.is_regressed() {
        return;
    }
    let page = match background.pages.next(inner.store.as_ref()).await {
        Ok(page) => page,
        Err(error) => return said("list", Err(error)),
    };
    said("observe drains", moves::observe(inner).await);
    if let Some(nodes) = &inner.nodes {
        if nodes.leads() {
            said("adopt", shared::seal_abandoned(inner, nodes).await);
        }
        shared::learn_healed(inner, &page.rows);
        if !nodes.is_removed() {
            shared::report_retired(inner, &page.rows);
        }
    }
    said("remember", background.ends.remember(inner, &page).await);
    if inner.is_regressed() {
        return;
    }
    said("reclaim", background.reclaimer.reclaim(inner, &page).await);
    background.compactor.consider(inner, &page);
    if inner.does_shared_work() {
        said("compact", background.compactor.compact_worst(inner).await);
    }
}
