//! ListBuckets.

use granary_engine::{Bucket, BucketPage, BucketQuery};

use crate::access::owner::Owner;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::token;
use crate::xml::XmlWriter;

const BUCKETS_MAX: u32 = 10_000;
const TOKEN_SCOPE: &str = "ListBuckets";

/// `GET /`: all buckets, or a page of them when the client asks for pages.
pub(super) async fn list_buckets(context: &Context<'_>) -> S3Result<S3Response> {
    let query = context.query;
    let limit = match query.non_empty("max-buckets") {
        None => BUCKETS_MAX,
        Some(text) => {
            text.parse().ok().filter(|limit| (1..=BUCKETS_MAX).contains(limit)).ok_or_else(|| {
                S3Error::invalid_argument(
                    "max-buckets",
                    text,
                    "Argument max-buckets must be an integer between 1 and 10000.",
                )
            })?
        }
    };
    let prefix = query.get("prefix").unwrap_or_default();
    let after = match query.non_empty("continuation-token") {
        Some(text) => Some(token::decode(TOKEN_SCOPE, text)?),
        None => None,
    };
    let page = own_buckets(context, BucketQuery { prefix: prefix.to_owned(), after, limit }).await?;
    let own = context.shared.config.region.as_str();
    let is_here = query.non_empty("bucket-region").is_none_or(|region| region == own);
    let mut xml = XmlWriter::document("ListAllMyBucketsResult");
    owner(&mut xml, "Owner", context);
    xml.open("Buckets");
    for bucket in page.buckets.iter().filter(|_| is_here) {
        xml.open("Bucket");
        xml.text("Name", bucket.name.as_str());
        xml.time("CreationDate", bucket.created);
        xml.text("BucketRegion", own);
        xml.close("Bucket");
    }
    xml.close("Buckets");
    if let (true, Some(last)) = (page.more, page.buckets.last()) {
        xml.text("ContinuationToken", &token::encode(TOKEN_SCOPE, last.name.as_str()));
    }
    if !prefix.is_empty() {
        xml.text("Prefix", prefix);
    }
    Ok(respond::xml(xml.finish("ListAllMyBucketsResult")))
}

/// The buckets of the account that the request acts for, which one of nobody has none of.
async fn own_buckets(context: &Context<'_>, mut query: BucketQuery) -> S3Result<BucketPage> {
    if context.requester.own().is_none() {
        return Ok(BucketPage { buckets: Vec::new(), more: false });
    }
    let wanted = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut own = Vec::new();
    // One more than is wanted tells whether more follow.
    query.limit = BUCKETS_MAX;
    loop {
        let page = context.shared.engine.list_buckets(query.clone()).await?;
        query.after = page.buckets.last().map(|last| last.name.as_str().to_owned());
        let is_own =
            |bucket: &Bucket| context.requester.is_of(&Owner::of_bucket(bucket, &context.shared.config));
        own.extend(page.buckets.into_iter().filter(is_own));
        if own.len() > wanted || !page.more {
            let more = own.len() > wanted;
            own.truncate(wanted);
            return Ok(BucketPage { buckets: own, more });
        }
    }
}

/// Writes the account that the bucket of the request belongs to, or that a request about none acts for.
pub(super) fn owner(xml: &mut XmlWriter, element: &'static str, context: &Context<'_>) {
    if let Some(owner) = context.owner() {
        account(xml, element, owner);
    }
}

/// Writes an account.
pub(super) fn account(xml: &mut XmlWriter, element: &'static str, owner: &Owner) {
    xml.open(element);
    xml.text("ID", &owner.canonical);
    xml.text("DisplayName", &owner.display_name);
    xml.close(element);
}
