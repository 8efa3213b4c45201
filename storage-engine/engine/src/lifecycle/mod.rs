//! Lifecycle: the rules of buckets, and the worker that follows them.
//!
//! Rules are a configuration of their bucket ([`rules`]). One node walks the buckets that have some ([`worker`]), page
//! by page of the index of keys ([`pass`]), asks what the rules say of each version ([`judge`]), and deletes what is over:
//! each delete names the write that was looked at, so what was written meanwhile stays, and the commit decides whether a
//! lock keeps it. How far it has come is kept in the metadata, and the walk goes on there after a restart or on another
//! node. What is to have another class is moved to the drives that it belongs on ([`crate::transit`]), and what is met beside it
//! there is judged as well ([`companions`]).

mod companions;
mod judge;
mod pass;
mod place;
mod rules;
mod worker;

use granary_types::{BucketName, UnixMillis, WriteId};

use crate::api::{ObjectInfo, Tag};
use crate::engine::Engine;
use crate::error::{EngineError, Result};

pub(crate) use place::MoveProgress;
use rules::Age;
pub use rules::{
    DayLength, Expiration, FilterShape, LifecycleFilter, LifecycleRule, LifecycleRules, NoncurrentExpiration,
    NoncurrentTransition, RuleStatus, Subject, Transition, TransitionTime,
};
pub(crate) use worker::{follow_forever, move_progress};

/// The name of the rules among the configurations of a bucket.
const RULES: &str = "lifecycle/";
/// What a walk is for. Each goes its own way through the buckets: what is over need not wait for what moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// To delete what is over.
    Delete,
    /// To move versions to the classes that they belong in.
    Move,
}

impl Aim {
    /// The name of the place that the walk has come to, among the configurations of the bucket.
    fn place(self) -> &'static str {
        match self {
            Self::Delete => "worker/lifecycle/",
            Self::Move => "worker/transitions/",
        }
    }
}

fn decode(document: &[u8]) -> Result<LifecycleRules> {
    serde_json::from_slice(document).map_err(|error| {
        tracing::error!(%error, "the lifecycle of a bucket cannot be read");
        EngineError::Internal("the lifecycle of a bucket cannot be read")
    })
}

impl Engine {
    /// The lifecycle of a bucket, as the metadata has it now.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn lifecycle(&self, bucket: &BucketName) -> Result<Option<LifecycleRules>> {
        self.bucket_document(bucket, RULES).await?.as_deref().map(decode).transpose()
    }

    /// Gives a bucket another lifecycle, or none.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn set_lifecycle(&self, bucket: &BucketName, rules: Option<&LifecycleRules>) -> Result<()> {
        let encoded = rules.map(serde_json::to_vec).transpose();
        let encoded = encoded.map_err(|_| EngineError::Internal("encoding the lifecycle of a bucket"))?;
        self.put_bucket_document(bucket, RULES, encoded).await?;
        self.inner.rules.forget_all();
        Ok(())
    }

    /// When a current version expires, and by which rule of its bucket. What other nodes changed counts within a second.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn expiration(
        &self,
        bucket: &BucketName,
        key: &granary_types::ObjectKey,
        (length_bytes, modified): (u64, UnixMillis),
        tags: Tags<'_>,
    ) -> Result<Option<(UnixMillis, String)>> {
        let rules = self.cached(bucket, &self.inner.rules, self.lifecycle(bucket)).await?;
        let Some(rules) = rules else { return Ok(None) };
        let (known, write): (&[Tag], _) = match tags {
            Tags::Known(tags) => (tags, None),
            Tags::Of(info) => (&[], (info.tag_count > 0).then_some(info.write)),
            Tags::OfWrite(write) => (&[], Some(write)),
        };
        let fetched = match write.filter(|_| rules.need_tags()) {
            Some(write) => {
                let id = self.bucket(bucket).await?.id;
                Some(self.inner.store.object_tags(id, key, write).await?)
            }
            None => None,
        };
        let tags = fetched.as_deref().unwrap_or(known);
        let subject = Subject { key: key.as_str(), length_bytes, tags };
        let found = rules.expiration(subject, modified, DayLength::Real);
        Ok(found.map(|(at, id)| (at, id.to_owned())))
    }

    /// When an upload that was begun then is aborted unless it is completed, and by which rule of its bucket. What other nodes
    /// changed counts within a second.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn upload_abort(
        &self,
        bucket: &BucketName,
        key: &granary_types::ObjectKey,
        initiated: UnixMillis,
    ) -> Result<Option<(UnixMillis, String)>> {
        let rules = self.cached(bucket, &self.inner.rules, self.lifecycle(bucket)).await?;
        let found = rules.as_ref().and_then(|rules| rules.abort(key.as_str(), initiated, DayLength::Real));
        Ok(found.map(|(at, id)| (at, id.to_owned())))
    }
}

/// Where the tags of a version come from.
#[derive(Debug, Clone, Copy)]
pub enum Tags<'a> {
    /// They are these.
    Known(&'a [Tag]),
    /// From the metadata, if they matter.
    Of(&'a ObjectInfo),
    /// As [`Tags::Of`], of the version that this write made.
    OfWrite(WriteId),
}
