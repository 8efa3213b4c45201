//! The admin API's requests about warm copies, answered from the engine.

use granary_admin::{
    AdminError, CopiesReport, PinReport, WarmAnswer, WarmJobKind, WarmJobReport, WarmJobState, WarmReport,
    WarmRequest,
};
use granary_engine::{Engine, EngineError, PinStatus, WarmJob, WarmJobId, WarmStatus};
use granary_types::BucketName;

/// Does what is asked for.
pub(super) async fn answer(engine: &Engine, request: WarmRequest) -> Result<WarmAnswer, AdminError> {
    let nothing = WarmAnswer::default;
    match request {
        WarmRequest::Prefetch { bucket, prefix } => {
            let job = engine.prefetch(&name(&bucket)?, &prefix).await.map_err(refused)?;
            Ok(WarmAnswer { started: Some(job.0), ..nothing() })
        }
        WarmRequest::Pin { bucket, prefix } => {
            let job = engine.pin(&name(&bucket)?, &prefix).await.map_err(refused)?;
            Ok(WarmAnswer { started: Some(job.0), ..nothing() })
        }
        WarmRequest::Unpin { bucket, prefix } => {
            let name = name(&bucket)?;
            if !engine.is_pinned(&name, &prefix).await.map_err(refused)? {
                return Err(AdminError::NotFound(format!("s3://{bucket}/{prefix} is not pinned")));
            }
            let count = engine.unpin(&name, &prefix).await.map_err(refused)?;
            Ok(WarmAnswer { unpinned: Some(count), ..nothing() })
        }
        WarmRequest::Pins => {
            let pins = engine.pins().await.map_err(refused)?;
            Ok(WarmAnswer { pins: Some(pins.into_iter().map(pin).collect()), ..nothing() })
        }
        WarmRequest::Job { job } => {
            let found = engine.warm_job(WarmJobId(job));
            let found = found.ok_or_else(|| AdminError::NotFound("there is no such job".to_owned()))?;
            Ok(WarmAnswer { job: Some(report(found)), ..nothing() })
        }
        WarmRequest::Jobs => {
            let jobs = engine.tier_jobs().await.map_err(refused)?;
            Ok(WarmAnswer {
                jobs: Some(jobs.into_iter().map(super::tier_jobs::report).collect()),
                ..nothing()
            })
        }
    }
}

fn pin(status: PinStatus) -> PinReport {
    let PinStatus { bucket, prefix, copies, bytes } = status;
    PinReport { bucket: bucket.to_string(), prefix, copies, bytes }
}

fn report(job: WarmJob) -> WarmJobReport {
    WarmJobReport {
        kind: match job.kind {
            granary_engine::WarmJobKind::Prefetch => WarmJobKind::Prefetch,
            granary_engine::WarmJobKind::Pin => WarmJobKind::Pin,
        },
        state: match job.state {
            granary_engine::WarmJobState::Running => WarmJobState::Running,
            granary_engine::WarmJobState::Done => WarmJobState::Done,
            granary_engine::WarmJobState::Failed(why) => WarmJobState::Failed(why),
        },
        bucket: job.bucket.to_string(),
        prefix: job.prefix,
        found: job.found,
        copied: job.copied,
        bytes: job.bytes,
        warm: job.warm,
        changed: job.changed,
        failed: job.failed,
        no_room: job.no_room,
        on_ssd: job.on_ssd,
        archived: job.archived,
    }
}

/// What all copies come to.
pub(super) fn status(status: &WarmStatus) -> WarmReport {
    let copies = |(copies, bytes): (u64, u64)| CopiesReport { copies, bytes };
    WarmReport {
        limit_bytes: status.limit_bytes,
        prefetched: copies(status.prefetched),
        promoted: copies(status.promoted),
        pinned: copies(status.pinned),
        restored: copies(status.restored),
        restoring: status.restoring,
    }
}

fn name(bucket: &str) -> Result<BucketName, AdminError> {
    BucketName::new(bucket).map_err(|_| AdminError::Invalid(format!("{bucket:?} is no name of a bucket")))
}

fn refused(error: EngineError) -> AdminError {
    match error {
        EngineError::NoSuchBucket(_) => AdminError::NotFound(error.to_string()),
        EngineError::Layout(reason) => AdminError::Invalid(reason),
        other => {
            let error = format!("{:#}", anyhow::Error::from(other));
            tracing::error!(error, "a request about warm copies failed");
            AdminError::Unavailable("warm copies cannot be looked at or changed now".to_owned())
        }
    }
}
