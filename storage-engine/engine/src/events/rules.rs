//! Which events a bucket tells to whom.

use granary_types::{ObjectKey, StorageClass, UnixMillis};
use serde::{Deserialize, Serialize};

/// What happens to objects, by the names that S3 has for it.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// An object was put.
    CreatedPut,
    /// An object was uploaded with a form.
    CreatedPost,
    /// An object was made of another one.
    CreatedCopy,
    /// An object was made of an upload's parts.
    CreatedComplete,
    /// A version was deleted for good.
    RemovedDelete,
    /// A delete marker hides the key.
    RemovedMarker,
    /// As [`EventKind::RemovedDelete`], by a rule of the lifecycle.
    ExpiredDelete,
    /// As [`EventKind::RemovedMarker`], by a rule of the lifecycle.
    ExpiredMarker,
    /// A version got other tags.
    TaggingPut,
    /// A version has no tags any more.
    TaggingDelete,
    /// A version got another access control list.
    AclPut,
    /// The bucket was told to tell its events: a test of the target.
    Test,
    // Queued events are decoded by the order of these: new ones come last.
    /// A version of an archive class is to be made readable.
    RestorePost,
    /// It can be read.
    RestoreCompleted {
        /// Until when.
        expires: UnixMillis,
        /// Its class, which it keeps.
        class: StorageClass,
    },
    /// It can be read no more.
    RestoreDelete,
    /// A version was moved to another class by a rule of the lifecycle.
    Transition {
        /// The class it has now.
        to: StorageClass,
    },
}

impl EventKind {
    /// The name in the message.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreatedPut => "ObjectCreated:Put",
            Self::CreatedPost => "ObjectCreated:Post",
            Self::CreatedCopy => "ObjectCreated:Copy",
            Self::CreatedComplete => "ObjectCreated:CompleteMultipartUpload",
            Self::RemovedDelete => "ObjectRemoved:Delete",
            Self::RemovedMarker => "ObjectRemoved:DeleteMarkerCreated",
            Self::ExpiredDelete => "LifecycleExpiration:Delete",
            Self::ExpiredMarker => "LifecycleExpiration:DeleteMarkerCreated",
            Self::TaggingPut => "ObjectTagging:Put",
            Self::TaggingDelete => "ObjectTagging:Delete",
            Self::AclPut => "ObjectAcl:Put",
            Self::Test => "TestEvent",
            Self::RestorePost => "ObjectRestore:Post",
            Self::RestoreCompleted { .. } => "ObjectRestore:Completed",
            Self::RestoreDelete => "ObjectRestore:Delete",
            Self::Transition { .. } => "LifecycleTransition",
        }
    }

    /// The kind that this becomes when the commit left a delete marker, or none.
    #[must_use]
    pub fn with_marker(self, marker: bool) -> Self {
        match (self, marker) {
            (Self::RemovedDelete, true) => Self::RemovedMarker,
            (Self::RemovedMarker, false) => Self::RemovedDelete,
            (Self::ExpiredDelete, true) => Self::ExpiredMarker,
            (Self::ExpiredMarker, false) => Self::ExpiredDelete,
            (same, _) => same,
        }
    }
}

/// Which element of a configuration a rule is: they differ in their names only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DestinationKind {
    /// A queue.
    Queue,
    /// A topic.
    Topic,
}

/// One destination of a bucket's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRule {
    /// Its id, unique in the bucket.
    pub id: String,
    /// Which element it is.
    pub destination: DestinationKind,
    /// The destination as the client named it.
    pub arn: String,
    /// The target of that name.
    pub target: String,
    /// The events as the client named them: `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// Keys begin so.
    pub prefix: Option<String>,
    /// And end so.
    pub suffix: Option<String>,
}

impl NotificationRule {
    /// Whether an event of that kind about that key is told here.
    #[must_use]
    pub fn takes(&self, kind: EventKind, key: &ObjectKey) -> bool {
        let key = key.as_str();
        let fits = |named: &String| {
            let named = named.strip_prefix("s3:").unwrap_or(named);
            named == kind.name()
                || named.strip_suffix('*').is_some_and(|family| kind.name().starts_with(family))
        };
        self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
            && self.suffix.as_ref().is_none_or(|suffix| key.ends_with(suffix.as_str()))
            && self.events.iter().any(fits)
    }
}

/// All destinations of a bucket's events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRules {
    /// In the order of the configuration.
    pub rules: Vec<NotificationRule>,
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
