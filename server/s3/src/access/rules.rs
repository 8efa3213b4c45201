//! What a bucket says about who may do what: its owner, its policy and its blocks of public access.

use granary_auth::policy::{Policy, PolicyKind};
use granary_engine::ConfiguredBucket;

use super::owner::Owner;
use crate::error::S3Result;
use crate::state::S3Config;
use crate::xml::read::{self, Element, Limits};

/// The name of the policy among the configurations of a bucket.
pub(crate) const POLICY: &str = "policy/";
/// That of the blocks of public access.
pub(crate) const BLOCK: &str = "public-access-block/";
/// All configurations that [`Rules`] are made of, in their order.
pub(super) const DOCUMENTS: &[&str] = &[POLICY, BLOCK];

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
}

impl Rules {
    /// Reads what is stored with a bucket.
    pub(super) fn read(configured: &ConfiguredBucket, config: &S3Config) -> Self {
        let name = &configured.bucket.name;
        let document = |index: usize| configured.documents.get(index).and_then(Option::as_deref);
        let policy = match document(0) {
            None => Stored::Absent,
            Some(text) => match Policy::parse(text, PolicyKind::Bucket(name.as_str())) {
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
        Self { owner: Owner::of_bucket(&configured.bucket, config), policy, policy_is_public, block }
    }

    /// Whether anybody gets in who cannot be told beforehand.
    pub(crate) fn is_public(&self) -> bool {
        self.policy_is_public
    }
}

/// Reads the content of a root element.
pub(super) fn fragment(root: &str, content: &[u8]) -> S3Result<Element> {
    let mut document = format!("<{root}>").into_bytes();
    document.extend_from_slice(content);
    document.extend_from_slice(format!("</{root}>").as_bytes());
    read::parse(&document, &STORED)
}
