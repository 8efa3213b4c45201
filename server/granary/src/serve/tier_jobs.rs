//! Work on warm copies, as documents of the admin API.

use granary_admin::{RestoreTier, TierJobKind, TierJobReport, TierJobState};
use granary_engine::{TierJob, TierWork, Urgency};

/// The report of a job.
pub(super) fn report(job: TierJob) -> TierJobReport {
    let (kind, tier) = match job.work {
        TierWork::Prefetch => (TierJobKind::Prefetch, None),
        TierWork::Pin => (TierJobKind::Pin, None),
        TierWork::Restore(urgency) => (TierJobKind::Restore, Some(tier(urgency))),
        TierWork::Move => (TierJobKind::Move, None),
    };
    let (state, reason) = match job.state {
        granary_engine::TierJobState::Waiting => (TierJobState::Waiting, None),
        granary_engine::TierJobState::Running => (TierJobState::Running, None),
        granary_engine::TierJobState::Done => (TierJobState::Done, None),
        granary_engine::TierJobState::Failed(why) => (TierJobState::Failed, Some(why)),
        granary_engine::TierJobState::Interrupted => (TierJobState::Interrupted, None),
    };
    let (bucket, prefix) = job.objects.unzip();
    TierJobReport {
        kind,
        tier,
        job: job.number.map(|number| number.0),
        bucket: bucket.map(|bucket| bucket.to_string()),
        prefix,
        state,
        reason,
        holder: job.holder.map(|node| node.to_string()),
        since_ms: job.since.0,
        objects_done: job.done,
        objects_found: job.found,
        listed: job.is_listed,
        objects_failed: job.failures.count,
        last_failure: job.failures.last,
        objects_without_room: job.no_room,
        bytes_copied: job.copied_bytes,
        bytes_left: job.left_bytes,
        seconds_left: job.time_left.map(|left| left.as_secs()),
    }
}

fn tier(urgency: Urgency) -> RestoreTier {
    match urgency {
        Urgency::Expedited => RestoreTier::Expedited,
        Urgency::Standard => RestoreTier::Standard,
        Urgency::Bulk => RestoreTier::Bulk,
    }
}
