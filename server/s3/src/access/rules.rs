//! What a bucket says about who may do what: its owner, its policy and its blocks of public access.

use std::num::NonZeroU32;

use granary_auth::policy::{Policy, PolicyKind, Sids};
use granary_engine::{BUCKET_LIMITS, BucketLimits, BucketLock, ConfiguredBucket, NOTIFICATIONS};
use granary_types::BucketName;

use super::acl::{Acl, PublicGrants};
use super::owner::Owner;
use super::payment::{self, Payer};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::locks::Digest;
use crate::logs::{self, LogTarget};
use crate::new_buckets::ObjectOwnership;
use crate::state::S3Config;
use crate::xml::read::{self, Element, Limits};

/// The name of the policy among the configurations of a bucket.
pub(crate) const POLICY: &str = "policy/";
/// That of the blocks of public access.
pub(crate) const BLOCK: &str = "public-access-block/";
/// All configurations that [`Rules`] are made of, in their order.
pub(super) const DOCUMENTS: &[&str] =
    &[POLICY, BLOCK, OWNERSHIP, ACL, BUCKET_LIMITS, NOTIFICATIONS, payment::DOCUMENT, logs::DOCUMENT];
/// The name of the ownership controls.
pub(crate) const OWNERSHIP: &str = "ownership-controls/";
/// The name of the access control list.
pub(crate) const ACL: &str = "acl/";

/// What was checked when it was put.
const STORED: Limits = Limits { length_bytes: 1024 * 1024, depth: 8, elements: 16_000 };

/// A part of the rules that is kept as text.
#[derive(Debug)]
pub(super) enum Stored<T> {
    /// There is none.
    Absent,
    /// It is this.
    Present(T),
    /// It cannot be read, so that nobody is let in.
    Unreadable,
}

/// The blocks of public access.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Block {
    /// ACLs that grant to the public are refused.
    pub(crate) refuse_acls: bool,
    /// ACLs that grant to the public do not.
    pub(crate) ignore_acls: bool,
    /// Policies that are public are refused.
    pub(crate) refuse_policy: bool,
    /// Policies that are public let in nobody from outside the owner's account.
    pub(crate) restrict: bool,
}

impl Block {
    /// All of them, as AWS gives to new buckets.
    pub(crate) const ALL: Self =
        Self { refuse_acls: true, ignore_acls: true, refuse_policy: true, restrict: true };

    fn of_element(root: &Element) -> Self {
        let flag =
            |name: &str| root.child(name).is_some_and(|flag| !flag.text.trim().eq_ignore_ascii_case("false"));
        Self {
            refuse_acls: flag("BlockPublicAcls"),
            ignore_acls: flag("IgnorePublicAcls"),
            refuse_policy: flag("BlockPublicPolicy"),
            restrict: flag("RestrictPublicBuckets"),
        }
    }
}

/// The rules of a bucket.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) owner: Owner,
    pub(super) policy: Stored<Policy>,
    pub(super) policy_is_public: bool,
    pub(crate) block: Block,
    pub(crate) ownership: ObjectOwnership,
    pub(super) acl: Stored<Acl>,
    /// Its name.
    pub(crate) bucket: BucketName,
    /// How many requests a second about it this node takes.
    pub(crate) requests_per_s: Option<NonZeroU32>,
    /// Whether anybody is told what happens to its objects.
    pub(crate) tells_events: bool,
    /// Who pays for requests.
    pub(crate) payer: Payer,
    /// Where its access logs go.
    pub(crate) logging: Option<LogTarget>,
    /// Its region.
    pub(crate) region: String,
    /// Whether what is written must come with a digest, though it asks for no locks: nobody can take back what the bucket's default
    /// retains.
    pub(crate) digest: Digest,
}

impl Rules {
    /// Reads what is stored with a bucket.
    pub(super) fn read(configured: &ConfiguredBucket, config: &S3Config) -> Self {
        let name = &configured.bucket.name;
        let document = |index: usize| configured.documents.get(index).and_then(Option::as_deref);
        let policy = match document(0) {
            None => Stored::Absent,
            // The ids of its statements were checked when it was put, by the rules that held then.
            Some(text) => match Policy::parse_with(text, PolicyKind::Bucket(name.as_str()), Sids::Any) {
                Ok(policy) => Stored::Present(policy),
                Err(error) => {
                    tracing::error!(bucket = name.as_str(), %error, "the policy of a bucket cannot be read");
                    Stored::Unreadable
                }
            },
        };
        let block = match document(1) {
            None => Block::ALL,
            // It was removed.
            Some([]) => Block::default(),
            Some(content) => fragment("Block", content).map_or_else(
                |error| {
                    tracing::error!(bucket = name.as_str(), %error, "the blocks of public access cannot be read");
                    Block::ALL
                },
                |root| Block::of_element(&root),
            ),
        };
        let policy_is_public = matches!(&policy, Stored::Present(policy) if policy.is_public());
        let acl = match document(3) {
            None => Stored::Absent,
            Some(content) => Acl::parse_stored(content).map_or_else(
                |error| {
                    tracing::error!(bucket = name.as_str(), %error, "the ACL of a bucket cannot be read");
                    Stored::Unreadable
                },
                Stored::Present,
            ),
        };
        Self {
            owner: Owner::of_bucket(&configured.bucket, config),
            policy,
            policy_is_public,
            block,
            ownership: ownership(name.as_str(), document(2)),
            acl,
            bucket: name.clone(),
            // What cannot be read was logged, and keeps nobody from reading.
            requests_per_s: document(4)
                .and_then(|document| BucketLimits::decode(document).ok())
                .and_then(|limits| limits.requests_per_s),
            tells_events: document(5).is_some(),
            payer: Payer::of_stored(document(6)),
            logging: document(7)
                .and_then(|content| fragment("Logging", content).ok())
                .and_then(|root| LogTarget::of_element(&root)),
            region: configured.bucket.region.clone(),
            digest: match configured.bucket.settings.lock {
                Some(BucketLock { default: Some(_) }) => Digest::Needed,
                _ => Digest::Optional,
            },
        }
    }

    /// Whether anybody gets in who cannot be told beforehand.
    pub(crate) fn is_public(&self) -> bool {
        let by_acl = self.counts_acls()
            && !self.block.ignore_acls
            && matches!(&self.acl, Stored::Present(acl) if acl.is_public());
        self.policy_is_public || by_acl
    }

    /// Whether access control lists count.
    pub(crate) fn counts_acls(&self) -> bool {
        self.ownership != ObjectOwnership::BucketOwnerEnforced
    }

    /// Whether grants to the public count.
    pub(super) fn public_grants(&self) -> PublicGrants {
        if self.block.ignore_acls { PublicGrants::Ignored } else { PublicGrants::Counted }
    }

    /// The access control list of the bucket. Where lists do not count, it is the default one.
    ///
    /// # Errors
    /// That it cannot be read.
    pub(crate) fn bucket_acl(&self) -> S3Result<Acl> {
        match &self.acl {
            Stored::Present(acl) if self.counts_acls() => Ok(acl.clone()),
            Stored::Unreadable if self.counts_acls() => Err(ErrorCode::InternalError.into()),
            _ => Ok(Acl::private(&self.owner)),
        }
    }

    /// The access control list of an object, of what is stored with it.
    ///
    /// # Errors
    /// That it cannot be read.
    pub(crate) fn object_acl(&self, stored: Option<&[u8]>) -> S3Result<Acl> {
        match stored {
            Some(stored) if self.counts_acls() => Acl::parse_stored(stored)
                .map_err(|error| S3Error::new(ErrorCode::InternalError).because(error)),
            _ => Ok(Acl::private(&self.owner)),
        }
    }
}

/// A bucket whose controls were removed is as those were that never had any.
fn ownership(bucket: &str, stored: Option<&[u8]>) -> ObjectOwnership {
    let Some(content) = stored else { return ObjectOwnership::BucketOwnerEnforced };
    if content.is_empty() {
        return ObjectOwnership::ObjectWriter;
    }
    let root = fragment("Ownership", content).ok();
    let rule = root.as_ref().and_then(|root| root.child("Rule"));
    let named = rule.and_then(|rule| rule.child("ObjectOwnership")).map(|named| named.text.trim().parse());
    named.and_then(Result::ok).unwrap_or_else(|| {
        tracing::error!(bucket, "the ownership controls of a bucket cannot be read");
        ObjectOwnership::BucketOwnerEnforced
    })
}

/// Reads the content of a root element.
pub(crate) fn fragment(root: &str, content: &[u8]) -> S3Result<Element> {
    let mut document = format!("<{root}>").into_bytes();
    document.extend_from_slice(content);
    document.extend_from_slice(format!("</{root}>").as_bytes());
    read::parse(&document, &STORED)
}
