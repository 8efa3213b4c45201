//! The admin API's requests about buckets, answered from the engine.

use granary_admin::{AdminError, BucketAnswer, BucketLimits, BucketReport, BucketRequest};
use granary_engine::{Engine, EngineError};
use granary_types::BucketName;

/// Does what is asked for.
pub(super) async fn answer(engine: &Engine, request: BucketRequest) -> Result<BucketAnswer, AdminError> {
    match request {
        BucketRequest::Show { bucket } => show(engine, &name(&bucket)?).await,
        BucketRequest::Limit { bucket, limits } => {
            let bucket = name(&bucket)?;
            let BucketLimits { bytes_max, objects_max, requests_per_s } = limits;
            let limits = granary_engine::BucketLimits { bytes_max, objects_max, requests_per_s };
            engine.set_bucket_limits(&bucket, &limits).await.map_err(refused)?;
            show(engine, &bucket).await
        }
        BucketRequest::Recount => {
            engine.recount().await.map_err(refused)?;
            Ok(BucketAnswer::default())
        }
    }
}

async fn show(engine: &Engine, bucket: &BucketName) -> Result<BucketAnswer, AdminError> {
    let granary_engine::BucketLimits { bytes_max, objects_max, requests_per_s } =
        engine.bucket_limits(bucket).await.map_err(refused)?;
    let usage = engine.bucket_usage(bucket).await.map_err(refused)?;
    Ok(BucketAnswer {
        bucket: Some(BucketReport {
            bucket: bucket.to_string(),
            bytes: usage.bytes,
            objects: usage.objects,
            limits: BucketLimits { bytes_max, objects_max, requests_per_s },
        }),
    })
}

fn name(bucket: &str) -> Result<BucketName, AdminError> {
    BucketName::new(bucket).map_err(|_| AdminError::Invalid(format!("{bucket:?} is no name of a bucket")))
}

fn refused(error: EngineError) -> AdminError {
    match error {
        EngineError::NoSuchBucket(_) => AdminError::NotFound(error.to_string()),
        other => {
            let error = format!("{:#}", anyhow::Error::from(other));
            tracing::error!(error, "a request about the limits of a bucket failed");
            AdminError::Unavailable("the limits cannot be read or changed now".to_owned())
        }
    }
}
