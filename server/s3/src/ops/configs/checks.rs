//! What the schemas do not say.

use granary_types::BucketName;

use super::{Kind, logging};
use crate::access::{self, Target, rules};
use crate::context::Context;
use crate::cors::Rules;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::inventory::{Inventory, asked_fields};
use crate::new_buckets::ObjectOwnership;
use crate::operation::Operation;
use crate::tags;
use crate::xml::read::{Element, malformed};

#[allow(clippy::unnecessary_wraps, reason = "it stands beside checks that may fail")]
pub(super) fn nothing(_root: &Element) -> S3Result<()> {
    Ok(())
}

pub(super) fn not_empty(root: &Element) -> S3Result<()> {
    if root.children.is_empty() { Err(malformed()) } else { Ok(()) }
}

pub(super) fn tagging(root: &Element) -> S3Result<()> {
    tags::of_element(root, tags::BUCKET_TAGS_MAX).map(drop)
}

pub(super) fn cors(root: &Element) -> S3Result<()> {
    Rules::of_element(root).map(drop)
}

/// There is one rule.
pub(super) fn ownership(root: &Element) -> S3Result<()> {
    let [rule] = root.children.as_slice() else { return Err(malformed()) };
    match rule.child("ObjectOwnership").map(|named| named.text.trim().parse::<ObjectOwnership>()) {
        Some(Ok(_)) => Ok(()),
        _ => Err(malformed()),
    }
}

/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Tiering.html>
pub(super) fn intelligent_tiering(root: &Element) -> S3Result<()> {
    for tiering in root.children.iter().filter(|child| child.name == "Tiering") {
        let days: u32 = tiering.child("Days").and_then(|days| days.text.trim().parse().ok()).unwrap_or(0);
        let deep = tiering.child("AccessTier").is_some_and(|tier| tier.text.trim() == "DEEP_ARCHIVE_ACCESS");
        if !(if deep { 180 } else { 90 }..=730).contains(&days) {
            return Err(S3Error::invalid_argument(
                "Days",
                days.to_string(),
                "The number of days is not valid",
            ));
        }
    }
    Ok(())
}

pub(super) fn inventory(root: &Element) -> S3Result<()> {
    Inventory::of_element(root).map(drop)
}

/// What only the store can tell.
pub(super) async fn of_store(
    context: &Context<'_>,
    kind: &Kind,
    bucket: &BucketName,
    root: &Element,
) -> S3Result<()> {
    if kind.name == "accelerate/" && bucket.as_str().contains('.') {
        return Err(S3Error::invalid_request(
            "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names",
        ));
    }
    if kind.name == rules::OWNERSHIP {
        return no_grants_left(context, root);
    }
    if kind.name == crate::inventory::DOCUMENT {
        return authorise_inventory(context, bucket, root).await;
    }
    let Some(enabled) = root.child("LoggingEnabled").filter(|_| kind.name == crate::logs::DOCUMENT) else {
        return Ok(());
    };
    logging::check(context, enabled).await
}

/// Policies may say which fields an inventory may have.
async fn authorise_inventory(context: &Context<'_>, bucket: &BucketName, root: &Element) -> S3Result<()> {
    let fields: Vec<String> = asked_fields(root).map(str::to_owned).collect();
    let add = |values: &mut _| access::of_inventory(values, fields.clone());
    let operation = Operation::PutBucketInventoryConfiguration;
    access::authorise_body(context, operation, Target::bucket(bucket), &add).await
}

/// Lists that grant something to others must be gone before lists do not count any more.
fn no_grants_left(context: &Context<'_>, root: &Element) -> S3Result<()> {
    let rule = root.child("Rule").and_then(|rule| rule.child("ObjectOwnership"));
    let named = rule.map(|named| named.text.trim().parse());
    let Some(rules) = context.rules.get() else { return Err(ErrorCode::InternalError.into()) };
    if named == Some(Ok(ObjectOwnership::BucketOwnerEnforced)) && rules.bucket_acl()?.grants_to_others() {
        return Err(ErrorCode::InvalidBucketAclWithObjectOwnership.into());
    }
    Ok(())
}
