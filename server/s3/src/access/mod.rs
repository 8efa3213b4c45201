//! Who may do what: one place that every request passes before its handler runs and before its body is read.
//!
//! [`authorise`] finds the actions of an operation ([`actions`]), what a policy may ask about the request ([`keys`]), and
//! what the bucket says ([`rules`]), and has [`decide`] combine that with the caller's own policies. What only a handler
//! can know (the source of a copy, the keys of a multi-object delete) it asks of the same [`Requester`].

pub(crate) mod acl;
pub(crate) mod actions;
pub(crate) mod canned;
mod compared;
mod create;
mod decide;
mod keys;
mod lists;
pub(crate) mod owner;
pub(crate) mod payment;
pub(crate) mod rules;
pub(crate) mod services;

use std::sync::{Arc, OnceLock};

use granary_auth::Principal;
use granary_auth::policy::{Context as Values, PolicyRequest};
use granary_engine::{Bypass, EngineError, Freshness};
use granary_types::{BucketName, ObjectKey, WriteId};

use crate::address::Address;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::locks;
use crate::logs;
use crate::operation::Operation;
use crate::ops::{ObjectAddress, version};
use crate::state::Shared;
pub(crate) use compared::{authorise_tags_compared, of_entry};
pub(crate) use create::authorise_new_bucket;
use decide::{Lists, Verdict, decide};
pub(crate) use keys::{Sent, of_inventory, of_lock, of_tags};
pub(crate) use lists::{initiator, of_new_object, owners_of_upload};
use owner::Owner;
use payment::Payer;
use rules::{DOCUMENTS, Rules, Stored};

const ARN: &str = "arn:aws:s3:::";
const ALL_BUCKETS: &str = "arn:aws:s3:::*";
/// The condition keys of the tags that an object has already.
const EXISTING_TAG: &str = "s3:existingobjecttag/";
const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";
const EXPECTED_SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";

/// What something is asked of: a bucket, or an object or a version of one in it.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) bucket: &'a BucketName,
    pub(crate) key: Option<&'a ObjectKey>,
    /// The version id as it was sent, if one is named.
    pub(crate) version: Option<&'a str>,
    stage: Stage,
}

/// Whether an object is one that is there, or that the request makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    There,
    ToBe,
}

impl<'a> Target<'a> {
    /// A bucket.
    pub(crate) fn bucket(bucket: &'a BucketName) -> Self {
        Self { bucket, key: None, version: None, stage: Stage::There }
    }

    /// An object, or the version of it that is named.
    pub(crate) fn object(bucket: &'a BucketName, key: &'a ObjectKey, version: Option<&'a str>) -> Self {
        Self { bucket, key: Some(key), version, stage: Stage::There }
    }

    fn arn(&self) -> String {
        match self.key {
            None => format!("{ARN}{}", self.bucket),
            Some(key) => format!("{ARN}{}/{}", self.bucket, key.as_str()),
        }
    }
}

/// Adds the values of more condition keys.
type More<'a> = &'a (dyn Fn(&mut Values) + Sync);

/// Who asks, with what policies may want to know of the request.
pub(crate) struct Requester<'a> {
    shared: &'a Shared,
    principal: &'a Principal,
    own: OnceLock<Option<Owner>>,
    sent: Sent<'a>,
    /// Made when a policy is there to ask for them.
    values: OnceLock<Values>,
    /// The write of the version whose access control list was looked at.
    seen: OnceLock<WriteId>,
}

impl<'a> Requester<'a> {
    /// Who sent this request.
    pub(crate) fn new(shared: &'a Shared, principal: &'a Principal, sent: Sent<'a>) -> Self {
        Self { shared, principal, own: OnceLock::new(), sent, values: OnceLock::new(), seen: OnceLock::new() }
    }

    /// The account that the request acts for, if any.
    pub(crate) fn own(&self) -> Option<&Owner> {
        self.own.get_or_init(|| Owner::of_principal(self.principal, &self.shared.config)).as_ref()
    }

    /// What is asked for.
    pub(crate) fn operation(&self) -> Operation {
        self.sent.operation
    }

    /// Whether it is the root user of the store.
    pub(crate) fn is_superuser(&self) -> bool {
        matches!(self.principal, Principal::Root { .. })
    }

    /// Whether who did not sign asks for a list of buckets, and gets one that is empty.
    fn may_list_nothing(&self) -> bool {
        matches!(self.principal, Principal::Anonymous)
            && self.sent.operation == Operation::ListBuckets
            && self.shared.config.dialect.lists_buckets_of_nobody()
    }

    /// Refuses to go on with another version than the one whose access control list was looked at.
    ///
    /// # Errors
    /// `ServiceUnavailable`: to try again is to be authorised for what is there now.
    pub(crate) fn check_same(&self, write: WriteId) -> S3Result<()> {
        match self.seen.get() {
            Some(seen) if *seen != write => Err(ErrorCode::ServiceUnavailable.into()),
            _ => Ok(()),
        }
    }

    /// Whether the request acts for this account.
    pub(crate) fn is_of(&self, owner: &Owner) -> bool {
        self.own().is_some_and(|own| own.account == owner.account)
    }

    /// Lets a request go on that may do this.
    ///
    /// # Errors
    /// `AccessDenied`, `NoSuchBucket`.
    pub(crate) async fn require(&self, action: &str, target: Target<'_>) -> S3Result<()> {
        self.require_with(action, target, &|_values| {}).await
    }

    /// As [`Requester::require`], of a request of which more is known.
    ///
    /// # Errors
    /// As [`Requester::require`].
    pub(crate) async fn require_with(
        &self,
        action: &str,
        target: Target<'_>,
        more: More<'_>,
    ) -> S3Result<()> {
        if self.may_with(action, target, more).await? { Ok(()) } else { Err(ErrorCode::AccessDenied.into()) }
    }

    /// Whether that may be done.
    ///
    /// # Errors
    /// `NoSuchBucket`, and that what decides could not be read.
    pub(crate) async fn may(&self, action: &str, target: Target<'_>) -> S3Result<bool> {
        self.may_with(action, target, &|_values| {}).await
    }

    /// Whether a policy denies that, which nothing else can allow then.
    async fn is_forbidden(&self, action: &str, target: Target<'_>) -> S3Result<bool> {
        Ok(self.decide_with(action, target, &|_values| {}).await? == Verdict::Forbidden)
    }

    /// Whether that may be done by a request about which more is known.
    async fn may_with(&self, action: &str, target: Target<'_>, more: More<'_>) -> S3Result<bool> {
        if self.decide_with(action, target, more).await? == Verdict::Allowed {
            return Ok(true);
        }
        self.not_there(action, target).await?.map_or(Ok(false), Err)
    }

    /// Decides about a request of which more is known.
    async fn decide_with(&self, action: &str, target: Target<'_>, more: More<'_>) -> S3Result<Verdict> {
        let rules = rules(self.shared, target.bucket, self.freshness()).await?;
        if matches!(self.principal, Principal::Root { .. }) && matches!(rules.policy, Stored::Absent) {
            return Ok(Verdict::Allowed);
        }
        let mut values = self.values_for(&rules, target).await?;
        more(&mut values);
        let resource = target.arn();
        let request = PolicyRequest { action, resource: &resource, context: &values };
        let said = lists::of(self, &rules, action, target).await?;
        let lists = Lists { says: said.says, object_owner: said.object_owner.as_deref() };
        Ok(decide(self.principal, self.own(), Some(&rules), &request, lists))
    }

    /// What to answer instead of a denial: that an object is not there, to who may list it.
    async fn not_there(&self, action: &str, target: Target<'_>) -> S3Result<Option<S3Error>> {
        let Some(key) = target.key.filter(|_| lists::is_of_object(action) && target.stage == Stage::There)
        else {
            return Ok(None);
        };
        let version = version::named(target.version)?;
        let error = match self.shared.engine.object_acl(target.bucket, key, version).await {
            Ok(_) => return Ok(None),
            Err(
                error @ (EngineError::NoSuchKey
                | EngineError::NoSuchVersion
                | EngineError::DeleteMarker { .. }),
            ) => S3Error::from(error).field("Key", key.as_str()),
            Err(error) => return Err(error.into()),
        };
        Ok(self.may_list(target.bucket, key).await?.then_some(error))
    }

    /// Whether just this key may be listed.
    async fn may_list(&self, bucket: &BucketName, key: &ObjectKey) -> S3Result<bool> {
        let prefix = |values: &mut Values| values.set("s3:prefix", key.as_str());
        Ok(self.decide_with("s3:ListBucket", Target::bucket(bucket), &prefix).await? == Verdict::Allowed)
    }

    /// The values of condition keys for one target of the request.
    async fn values_for(&self, rules: &Rules, target: Target<'_>) -> S3Result<Values> {
        let mut values = self.values().clone();
        for key in ["s3:ResourceAccount", "aws:ResourceAccount"] {
            values.set(key, rules.owner.account.as_str());
        }
        let Some(key) = target.key else { return Ok(values) };
        if let Some(version) = target.version {
            values.set("s3:VersionId", version);
        }
        if self.asks_for(rules, EXISTING_TAG) {
            let version = version::named(target.version)?;
            let found = self.shared.engine.object_tags(target.bucket, key, version).await;
            // What is not there has no tags.
            let tags = match found {
                Ok((_, tags)) => tags,
                Err(
                    EngineError::NoSuchKey | EngineError::NoSuchVersion | EngineError::DeleteMarker { .. },
                ) => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            values.set_tags(EXISTING_TAG, &tags);
        }
        Ok(values)
    }

    /// Whether a policy that counts asks for keys that begin so.
    fn asks_for(&self, rules: &Rules, begin: &str) -> bool {
        let of_bucket = matches!(&rules.policy, Stored::Present(policy) if policy.asks_for(begin));
        of_bucket || self.identity_asks_for(begin)
    }

    /// Whether a policy of who asks does.
    fn identity_asks_for(&self, begin: &str) -> bool {
        let Principal::User(identity) = self.principal else { return false };
        let of_session = identity.session.iter().flat_map(|session| &session.policies);
        let mut own = identity.policies.iter().chain(&identity.boundary).chain(of_session);
        own.any(|policy| policy.asks_for(begin))
    }

    /// Lets a request go on that is about no bucket, or about one that need not be there. `more` adds what else is known.
    ///
    /// # Errors
    /// `AccessDenied`.
    fn require_by_identity(&self, action: &str, resource: &str, more: More<'_>) -> S3Result<()> {
        let mut values = self.values().clone();
        more(&mut values);
        let request = PolicyRequest { action, resource, context: &values };
        let allowed = matches!(self.principal, Principal::Root { .. })
            || decide(self.principal, self.own(), None, &request, Lists::NONE) == Verdict::Allowed;
        if allowed { Ok(()) } else { Err(ErrorCode::AccessDenied.into()) }
    }

    fn values(&self) -> &Values {
        self.values.get_or_init(|| keys::of_request(self.principal, &self.shared.config, &self.sent))
    }

    /// The root user's rights do not depend on whose bucket it is, so that it need not be looked up again.
    fn freshness(&self) -> Freshness {
        match self.principal {
            Principal::Root { .. } => Freshness::Believed,
            Principal::Anonymous | Principal::User(_) => Freshness::Current,
        }
    }
}

/// The rules of a bucket.
///
/// # Errors
/// `NoSuchBucket`.
pub(crate) async fn rules(
    shared: &Shared,
    bucket: &BucketName,
    freshness: Freshness,
) -> S3Result<Arc<Rules>> {
    let configured = shared.engine.configured_bucket(bucket, DOCUMENTS, freshness).await?;
    Ok(configured.read_once(|configured| Rules::read(configured, &shared.config)))
}

/// Lets a request go on to the handler of its operation.
///
/// # Errors
/// `AccessDenied`, `NoSuchBucket`.
pub(crate) async fn authorise(
    context: &Context<'_>,
    operation: Operation,
    address: &Address,
) -> S3Result<()> {
    let requester = &context.requester;
    let version = context.query.get("versionId");
    let action = actions::of(operation, version.is_some());
    let target = match address {
        // It lists nothing.
        Address::Service if requester.may_list_nothing() => return Ok(()),
        Address::Service => return requester.require_by_identity(action, ALL_BUCKETS, &|_values| {}),
        Address::Bucket(bucket) if operation == Operation::CreateBucket => {
            return create::authorise(context, bucket);
        }
        Address::Bucket(bucket) => Target::bucket(bucket),
        Address::Object(bucket, key) => Target::object(bucket, key, version),
    };
    let rules = rules(context.shared, target.bucket, requester.freshness()).await?;
    logs::saw(context, &rules, target.key);
    // Each key of a delete of several is decided by itself, and what a policy asks of the body when that is read.
    let is_later = operation == Operation::DeleteObjects
        || keys_of_body(operation).is_some_and(|begin| requester.asks_for(&rules, begin));
    if !is_later {
        requester.require(action, target).await?;
        // It is only for the log: what cannot be known refuses nobody who was let in.
        if rules.logging.is_some() && requester.needs_list(&rules, action, target).await.unwrap_or_default() {
            logs::saw_need_of_list(context);
        }
    }
    if operation == Operation::GetObjectAttributes {
        requester.require(actions::of(Operation::GetObject, version.is_some()), target).await?;
    }
    if begins_object(operation) {
        let target = Target { stage: Stage::ToBe, ..target };
        for action in of_headers(context, HEADERS_OF_OBJECTS) {
            // A list that gives to the owners only is part of putting an object, as AWS's examples of policies have it,
            // unless a policy denies lists.
            let is_own = action == PUT_ACL && !lists::gives_to_others(context, &rules);
            if !is_own || requester.is_forbidden(action, target).await? {
                requester.require(action, target).await?;
            }
        }
    }
    check_expected_owner(context, EXPECTED_OWNER, target.bucket).await?;
    if requester.charge(&rules)? == Payer::Requester {
        let _ = context.charged.set(());
    }
    let _ = context.rules.set(rules);
    Ok(())
}

/// What the names of the condition keys begin with, in lower case, that have their values from an operation's body.
fn keys_of_body(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::PutObjectTagging => Some("s3:requestobjecttag"),
        Operation::PutObjectRetention | Operation::PutObjectLegalHold => Some("s3:object-lock-"),
        Operation::PutBucketInventoryConfiguration => Some("s3:inventoryaccessibleoptionalfields"),
        _ => None,
    }
}

/// Lets an operation go on whose body was read, if a policy asks about that. `more` adds what it says.
///
/// # Errors
/// `AccessDenied`.
pub(crate) async fn authorise_body(
    context: &Context<'_>,
    operation: Operation,
    target: Target<'_>,
    more: More<'_>,
) -> S3Result<()> {
    let Some((rules, begin)) = context.rules.get().zip(keys_of_body(operation)) else { return Ok(()) };
    if !context.requester.asks_for(rules, begin) {
        return Ok(());
    }
    context.requester.require_with(actions::of(operation, target.version.is_some()), target, more).await
}

const PUT_ACL: &str = "s3:PutObjectAcl";
/// What the headers of a new object ask for beside the object.
const HEADERS_OF_OBJECTS: &[(&str, &str)] = &[
    ("x-amz-acl", PUT_ACL),
    ("x-amz-grant-", PUT_ACL),
    ("x-amz-tagging", "s3:PutObjectTagging"),
    ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
    ("x-amz-object-lock-retain-until-date", "s3:PutObjectRetention"),
    ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
];

fn begins_object(operation: Operation) -> bool {
    matches!(operation, Operation::PutObject | Operation::CopyObject | Operation::CreateMultipartUpload)
}

fn of_headers(
    context: &Context<'_>,
    table: &'static [(&'static str, &'static str)],
) -> impl Iterator<Item = &'static str> {
    let headers = context.headers();
    let sent = |begin: &str| {
        headers.keys().any(|name| {
            let name = name.as_str();
            // Those of a whole family end with a dash.
            name == begin || begin.ends_with('-') && name.starts_with(begin)
        })
    };
    let mut actions: Vec<&str> =
        table.iter().filter(|(begin, _)| sent(begin)).map(|(_, action)| *action).collect();
    actions.dedup();
    actions.into_iter()
}

/// Refuses a request that expects the bucket to be somebody else's.
async fn check_expected_owner(context: &Context<'_>, header: &str, bucket: &BucketName) -> S3Result<()> {
    let Some(expected) = context.header(header) else { return Ok(()) };
    let rules = rules(context.shared, bucket, Freshness::Current).await?;
    if rules.owner.account == expected { Ok(()) } else { Err(ErrorCode::AccessDenied.into()) }
}

/// Lets a copy go on that may read its source.
///
/// # Errors
/// `AccessDenied`, `NoSuchBucket`.
pub(crate) async fn authorise_source(
    context: &Context<'_>,
    (bucket, key): (&BucketName, &ObjectKey),
    version: Option<&str>,
) -> S3Result<()> {
    let source = rules(context.shared, bucket, Freshness::Believed).await?;
    logs::saw_source(context, &source, (key, version));
    let action = actions::of(Operation::GetObject, version.is_some());
    context.requester.require(action, Target::object(bucket, key, version)).await?;
    if context.requester.charge(&source)? == Payer::Requester {
        let _ = context.charged.set(());
    }
    check_expected_owner(context, EXPECTED_SOURCE_OWNER, bucket).await
}

/// Lets a copy go on that takes the tags of its source along.
///
/// # Errors
/// `AccessDenied`.
pub(crate) async fn authorise_tags(
    context: &Context<'_>,
    source: Target<'_>,
    copy: &ObjectAddress,
) -> S3Result<()> {
    let read = actions::of(Operation::GetObjectTagging, source.version.is_some());
    context.requester.require(read, source).await?;
    context.requester.require("s3:PutObjectTagging", Target::object(&copy.bucket, &copy.key, None)).await
}

/// Which locks a request gets past: those that it asks to, if it may.
///
/// # Errors
/// That what decides could not be read.
pub(crate) async fn bypass(context: &Context<'_>, target: Target<'_>) -> S3Result<Bypass> {
    let asked = locks::bypass(context.headers());
    let may =
        asked == Bypass::Nothing || context.requester.may("s3:BypassGovernanceRetention", target).await?;
    Ok(if may { asked } else { Bypass::Nothing })
}

/// That an object is not there is told to those only who may list its bucket.
pub(crate) async fn conceal(context: &Context<'_>, object: &ObjectAddress, error: S3Error) -> S3Error {
    if error.code() != ErrorCode::NoSuchKey || matches!(context.verified.principal, Principal::Root { .. }) {
        return error;
    }
    match context.requester.may_list(&object.bucket, &object.key).await {
        Ok(true) => error,
        Ok(false) => ErrorCode::AccessDenied.into(),
        Err(error) => error,
    }
}
