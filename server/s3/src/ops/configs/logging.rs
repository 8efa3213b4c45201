//! Where access logs may be sent to.

use granary_engine::{Bucket, EngineError, Freshness};
use granary_types::BucketName;

use crate::access;
use crate::access::owner::Owner;
use crate::access::payment::Payer;
use crate::access::services;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::logs::{TargetGrant, check_grants};
use crate::xml::read::Element;

/// Checks the `LoggingEnabled` of a configuration against the store.
///
/// # Errors
/// What the dialect answers for a bucket that cannot be the target, or whose grants or policy do not fit.
pub(super) async fn check(context: &Context<'_>, enabled: &Element) -> S3Result<()> {
    let text = |name: &str| enabled.child(name).map(|child| child.text.as_str()).unwrap_or_default();
    let name = BucketName::new(text("TargetBucket").trim());
    if context.shared.config.dialect.asks_policy_of_log_prefix() {
        let name = name.map_err(|error| S3Error::new(ErrorCode::NoSuchKey).because(error))?;
        return check_policy(context, &name, text("TargetPrefix")).await;
    }
    let missing = || {
        S3Error::new(ErrorCode::InvalidTargetBucketForLogging)
            .field("TargetBucket", text("TargetBucket").trim())
    };
    let name = name.map_err(|error| missing().because(error))?;
    let owner = |found: &Bucket| Owner::of_bucket(found, &context.shared.config).account;
    match context.shared.engine.bucket(&name).await {
        // Logs are written to buckets of the same account only.
        Ok(found) if context.owner().is_some_and(|own| own.account == owner(&found)) => {
            let grants = TargetGrant::all(enabled)?;
            let target = access::rules(context.shared, &name, Freshness::Current).await?;
            check_grants(context.shared, &grants, &target)
        }
        Ok(_) => Err(missing()),
        Err(EngineError::NoSuchBucket(_)) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

/// As Ceph's object gateway checks it: the target has no logs, encryption or payment by requesters of its own, and its policy lets
/// the logs in.
async fn check_policy(context: &Context<'_>, name: &BucketName, prefix: &str) -> S3Result<()> {
    let Some(source) = context.rules.get() else { return Err(ErrorCode::InternalError.into()) };
    let target = match access::rules(context.shared, name, Freshness::Current).await {
        Ok(rules) => rules,
        Err(error) if error.code() == ErrorCode::NoSuchBucket => {
            return Err(S3Error::new(ErrorCode::NoSuchKey).because(error));
        }
        Err(error) => return Err(error),
    };
    let encryption = context.shared.engine.bucket_encryption(name).await?;
    let is_unfit = *name == source.bucket
        || target.logging.is_some()
        || target.payer == Payer::Requester
        || encryption.is_some_and(|encryption| encryption.default.is_some());
    if is_unfit {
        let message = "The target bucket is the source, or has logging, encryption or requester pays";
        return Err(S3Error::invalid_argument("TargetBucket", name.as_str(), message));
    }
    if services::may_log_below(source, (&target, prefix)) {
        return Ok(());
    }
    let message = "The policy of the target bucket does not let logging.s3.amazonaws.com write";
    Err(S3Error::with_message(ErrorCode::AccessDenied, message))
}

/// A configuration as Ceph's object gateway keeps it: without grants, and with the format of keys that holds.
pub(super) fn completed(mut root: Element) -> Element {
    const FORMAT: &str = "TargetObjectKeyFormat";
    for enabled in root.children.iter_mut().filter(|child| child.name == "LoggingEnabled") {
        enabled.children.retain(|child| child.name != "TargetGrants");
        if enabled.child(FORMAT).is_none() {
            let simple = Element { name: "SimplePrefix".to_owned(), ..Element::default() };
            let format = Element { name: FORMAT.to_owned(), children: vec![simple], ..Element::default() };
            enabled.children.push(format);
        }
    }
    root
}
