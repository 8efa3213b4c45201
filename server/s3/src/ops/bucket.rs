//! CreateBucket, HeadBucket, DeleteBucket and GetBucketLocation.

use axum::body::Body;
use granary_engine::{BucketLock, BucketSettings, EngineError, Freshness, Versioning};
use granary_types::BucketName;
use http::{HeaderName, StatusCode, header};

use crate::access;
use crate::access::acl::Acl;
use crate::access::canned::{self, Owners};
use crate::access::owner::Owner;
use crate::access::rules;
use crate::body::Protection;
use crate::context::Context;
use crate::dialect::Dialect;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::new_buckets::{ObjectOwnership, PublicAccess};
use crate::respond::{self, S3Response};
use crate::unsupported;
use crate::xml::XmlWriter;
use crate::xml::read::Limits;
use crate::xml::requests::parse_create_bucket;

/// The region whose name S3 does not show as a location, and where creating one's own bucket again succeeds.
const LEGACY_REGION: &str = "us-east-1";

const LOCK_ENABLED: &str = "x-amz-bucket-object-lock-enabled";
const OWNERSHIP: &str = "x-amz-object-ownership";

/// `PUT /bucket`.
pub(super) async fn create(context: &Context<'_>, bucket: &BucketName, body: Body) -> S3Result<S3Response> {
    unsupported::check_write(context.headers())?;
    if !context.shared.config.dialect.takes_bucket_name(bucket.as_str()) {
        return Err(S3Error::new(ErrorCode::InvalidBucketName).field("BucketName", bucket.as_str()));
    }
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Optional).await?;
    let request = parse_create_bucket(&document)?;
    access::authorise_new_bucket(context, bucket, &request)?;
    let region = region_of(request.constraint.as_deref(), &context.shared.config.region)?;
    let (engine, owner) = (&context.shared.engine, owner(context)?);
    let access = NewAccess::of_request(context, owner)?;
    match engine.create_bucket_with(bucket, &region, &owner.stored(), settings(context)?).await {
        // A crash in between leaves a bucket whose creation was not acknowledged, and that is nobody's but its owner's.
        Ok(_) => {
            access.store(context, bucket).await?;
            if !request.tags.is_empty() {
                super::configs::tag_bucket(context, bucket, &request.tags).await?;
            }
        }
        Err(EngineError::BucketExists(_)) => {
            let existing = engine.bucket(bucket).await?;
            if Owner::of_bucket(&existing, &context.shared.config).account != owner.account {
                return Err(S3Error::new(ErrorCode::BucketAlreadyExists).field("BucketName", bucket.as_str()));
            }
            if region != LEGACY_REGION || existing.region != LEGACY_REGION {
                return Err(
                    S3Error::new(ErrorCode::BucketAlreadyOwnedByYou).field("BucketName", bucket.as_str())
                );
            }
            access.reset_acl(context, bucket).await?;
        }
        Err(error) => return Err(error.into()),
    }
    let mut response = respond::empty(StatusCode::OK);
    respond::set(response.headers_mut(), header::LOCATION, format!("/{bucket}"));
    Ok(response)
}

/// Who may do what with a new bucket.
struct NewAccess {
    /// What is stored of who owns its objects.
    controls: Option<Vec<u8>>,
    acl: Option<Acl>,
}

impl NewAccess {
    fn of_request(context: &Context<'_>, owner: &Owner) -> S3Result<Self> {
        let config = &context.shared.config;
        let asked: Option<ObjectOwnership> = match context.header(OWNERSHIP) {
            None => None,
            Some(text) => Some(
                text.parse().map_err(|error: String| S3Error::invalid_argument(OWNERSHIP, text, error))?,
            ),
        };
        let ownership = asked.unwrap_or(config.ownership);
        let controls = controls_of(asked, config.ownership, config.dialect);
        let owners = Owners { own: owner, of_bucket: owner };
        let acl = canned::of_headers(context.shared, context.headers(), owners)?;
        let grants = acl.as_ref().is_some_and(Acl::grants_to_others);
        if grants && ownership == ObjectOwnership::BucketOwnerEnforced {
            return Err(ErrorCode::InvalidBucketAclWithObjectOwnership.into());
        }
        if config.public_access == PublicAccess::Blocked && acl.as_ref().is_some_and(Acl::is_public) {
            return Err(ErrorCode::InvalidBucketAclWithBlockPublicAccessError.into());
        }
        Ok(Self { controls, acl: acl.filter(|_| grants) })
    }

    /// To make one's bucket anew changes nothing but its list, as in AWS.
    async fn reset_acl(self, context: &Context<'_>, bucket: &BucketName) -> S3Result<()> {
        let rules = access::rules(context.shared, bucket, Freshness::Current).await?;
        let document = self.acl.map(|acl| acl.document().into_bytes());
        if rules.counts_acls() && (document.is_some() || rules.bucket_acl()?.grants_to_others()) {
            context.shared.engine.put_bucket_document(bucket, rules::ACL, document).await?;
        }
        Ok(())
    }

    /// Stores what is not as it is where nothing is stored.
    async fn store(self, context: &Context<'_>, bucket: &BucketName) -> S3Result<()> {
        let engine = &context.shared.engine;
        if let Some(controls) = self.controls {
            engine.put_bucket_document(bucket, rules::OWNERSHIP, Some(controls)).await?;
        }
        if let Some(acl) = self.acl {
            engine.put_bucket_document(bucket, rules::ACL, Some(acl.document().into_bytes())).await?;
        }
        if context.shared.config.public_access == PublicAccess::Open {
            // Nothing is what a bucket has whose blocks were removed.
            engine.put_bucket_document(bucket, rules::BLOCK, Some(Vec::new())).await?;
        }
        Ok(())
    }
}

/// What is stored of a new bucket's ownership: nothing where it is as in a bucket of which nothing is stored. Controls that are
/// left out are as if they had been removed, after which objects belong to their writers.
fn controls_of(
    asked: Option<ObjectOwnership>,
    by_default: ObjectOwnership,
    dialect: Dialect,
) -> Option<Vec<u8>> {
    match asked.unwrap_or(by_default) {
        ObjectOwnership::BucketOwnerEnforced => None,
        ObjectOwnership::ObjectWriter if asked.is_none() && dialect.leaves_controls_out() => Some(Vec::new()),
        other => Some(format!("<Rule><ObjectOwnership>{other}</ObjectOwnership></Rule>").into_bytes()),
    }
}

/// A bucket with object lock has versions too.
fn settings(context: &Context<'_>) -> S3Result<BucketSettings> {
    match context.header(LOCK_ENABLED) {
        Some(value) if value.eq_ignore_ascii_case("true") => {
            Ok(BucketSettings { versioning: Versioning::Enabled, lock: Some(BucketLock::default()) })
        }
        Some(value) if !value.eq_ignore_ascii_case("false") => {
            Err(S3Error::invalid_argument(LOCK_ENABLED, value, "The value must be true or false"))
        }
        _ => Ok(BucketSettings::default()),
    }
}

/// The account that a request acts for.
///
/// # Errors
/// `AccessDenied` for requests of nobody.
pub(super) fn owner<'a>(context: &'a Context<'_>) -> S3Result<&'a Owner> {
    context.requester.own().ok_or_else(|| ErrorCode::AccessDenied.into())
}

/// The region of a new bucket: the store's, whether named or not. In us-east-1, AWS has no name for it.
///
/// # Errors
/// `IllegalLocationConstraintException` for another region, `InvalidLocationConstraint` for what is none.
fn region_of(constraint: Option<&str>, own: &str) -> S3Result<String> {
    let Some(constraint) = constraint else { return Ok(own.to_owned()) };
    let region = if constraint == "EU" { "eu-west-1" } else { constraint };
    if region == LEGACY_REGION || (region != own && !is_region(region)) {
        return Err(
            S3Error::new(ErrorCode::InvalidLocationConstraint).field("LocationConstraint", constraint)
        );
    }
    if region != own {
        return Err(S3Error::with_message(
            ErrorCode::IllegalLocationConstraintException,
            format!(
                "The {constraint} location constraint is incompatible for the region specific endpoint this request \
                 was sent to."
            ),
        ));
    }
    Ok(own.to_owned())
}

/// Whether it looks like the name of a region of AWS: `eu-west-1`, `us-gov-east-1`.
fn is_region(name: &str) -> bool {
    let Some((place, number)) = name.rsplit_once('-') else { return false };
    let is_word = |word: &str| word.len() >= 2 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words = place.split('-').count();
    (2..=3).contains(&words)
        && place.split('-').all(is_word)
        && number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// `HEAD /bucket`.
pub(super) async fn head(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    context.shared.engine.bucket(bucket).await?;
    let mut response = respond::empty(StatusCode::OK);
    let headers = response.headers_mut();
    // Clients sign for the region they read here, so it must be the store's even where the bucket is older than
    // the store's present region.
    let region = context.shared.config.region.as_str();
    respond::set(headers, HeaderName::from_static("x-amz-bucket-region"), region);
    respond::set(headers, HeaderName::from_static("x-amz-access-point-alias"), "false");
    respond::set(headers, header::CONTENT_TYPE, "application/xml");
    if context.shared.config.dialect.tells_usage() && context.query.get("read-stats") == Some("true") {
        let usage = context.shared.engine.bucket_usage(bucket).await?;
        respond::set(headers, HeaderName::from_static("x-rgw-object-count"), usage.objects.to_string());
        respond::set(headers, HeaderName::from_static("x-rgw-bytes-used"), usage.bytes.to_string());
    }
    Ok(response)
}

/// `DELETE /bucket`.
pub(super) async fn delete(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    context.shared.engine.delete_bucket(bucket).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

/// `GET /bucket?location`.
pub(super) async fn location(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    context.shared.engine.bucket(bucket).await?;
    let mut xml = XmlWriter::document("LocationConstraint");
    let region = context.shared.config.region.as_str();
    if region != LEGACY_REGION {
        xml.content(region);
    }
    Ok(respond::xml(xml.finish("LocationConstraint")))
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
