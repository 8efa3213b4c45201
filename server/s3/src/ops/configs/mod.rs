//! The configurations of a bucket: one handler for all kinds, and a table of what each kind's document must look like.
//!
//! A document is checked against its schema, written anew from what was understood, and kept as the content of its
//! root element under a name such as `website/` or `metrics/ID/`.

mod checks;
mod kinds;
mod logging;
mod schema;

use axum::body::Body;
use granary_engine::Tag;
use granary_types::BucketName;
use http::StatusCode;

use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::operation::Operation;
use crate::respond::{self, S3Response};
use crate::tags;
use crate::token;
use crate::xml::XmlWriter;
use crate::xml::read::{self, Limits, malformed};
pub(super) use kinds::Kind;

/// How many configurations of a kind with ids a bucket may have.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketMetricsConfiguration.html>
const CONFIGURATIONS_MAX: u32 = 1_000;
/// How many of them a page lists.
const PAGE: u32 = 100;
/// The longest id.
const ID_BYTES_MAX: usize = 64;

/// For the longest configurations: 100 CORS rules of many elements.
const LIMITS: Limits = Limits { length_bytes: 64 * 1024, depth: 8, elements: 8_000 };

/// What a request does with a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Get,
    Put,
    Delete,
    List,
}

/// The kind and the action of an operation; `None` if it is about no configuration.
pub(super) fn of(operation: Operation) -> Option<(&'static Kind, Action)> {
    kinds::ALL.iter().find_map(|kind| {
        let actions = [Action::Get, Action::Put, Action::Delete, Action::List];
        let found = kind.operations.iter().zip(actions).find(|(own, _)| **own == Some(operation));
        found.map(|(_, action)| (kind, action))
    })
}

pub(super) async fn run(
    context: &Context<'_>,
    (kind, action): (&'static Kind, Action),
    bucket: &BucketName,
    body: Body,
) -> S3Result<S3Response> {
    match action {
        Action::Get => get(context, kind, bucket).await,
        Action::Put => put(context, kind, bucket, body).await,
        Action::Delete => delete(context, kind, bucket).await,
        Action::List => list(context, kind, bucket).await,
    }
}

/// The name of the document that a request is about.
fn document_name(context: &Context<'_>, kind: &Kind) -> S3Result<String> {
    if !kind.has_ids {
        return Ok(kind.name.to_owned());
    }
    let id = context.query.get("id").unwrap_or_default();
    let well_formed = (1..=ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if well_formed {
        return Ok(format!("{}{id}/", kind.name));
    }
    Err(S3Error::invalid_argument("id", id, "The configuration id is not valid"))
}

async fn get(context: &Context<'_>, kind: &Kind, bucket: &BucketName) -> S3Result<S3Response> {
    let name = document_name(context, kind)?;
    let stored = context.shared.engine.bucket_document(bucket, &name).await?;
    let content = match (stored, kind.missing) {
        (Some(stored), None) => text(stored)?,
        (Some(stored), Some(_)) if !stored.is_empty() => text(stored)?,
        (None, _) if kind.default.is_some() => kind.default.unwrap_or_default().to_owned(),
        (_, missing) => return Err(missing.unwrap_or(ErrorCode::NoSuchConfiguration).into()),
    };
    let mut xml = XmlWriter::document(kind.root);
    xml.raw(&content);
    Ok(respond::xml(xml.finish(kind.root)))
}

fn text(stored: Vec<u8>) -> S3Result<String> {
    String::from_utf8(stored).map_err(|error| S3Error::new(ErrorCode::InternalError).because(error))
}

async fn put(context: &Context<'_>, kind: &Kind, bucket: &BucketName, body: Body) -> S3Result<S3Response> {
    let name = document_name(context, kind)?;
    let engine = &context.shared.engine;
    engine.bucket(bucket).await?;
    let document = context.document(body, LIMITS.length_bytes, kind.protection).await?;
    let root = read::parse(&document, &LIMITS)?;
    if root.name != kind.root {
        return Err(malformed());
    }
    let completes = kind.name == crate::logs::DOCUMENT && context.shared.config.dialect.completes_logging();
    let root = if completes { logging::completed(root) } else { root };
    let content = schema::check(&root, kind.schema)?;
    (kind.check)(&root)?;
    checks::of_store(context, kind, bucket, &root).await?;
    if kind.has_ids {
        if root.child("Id").map(|id| id.text.as_str()) != context.query.get("id") {
            return Err(S3Error::invalid_argument("id", name, "The id of the document is another one"));
        }
        let there = engine.bucket_documents(bucket, kind.name, "", CONFIGURATIONS_MAX).await?;
        let full = there.len() >= usize::try_from(CONFIGURATIONS_MAX).unwrap_or(usize::MAX);
        if full && there.iter().all(|other| other.name != name) {
            return Err(ErrorCode::TooManyConfigurations.into());
        }
    }
    engine.put_bucket_document(bucket, &name, Some(content.into_bytes())).await?;
    // Also for PutBucketTagging: its reference says 200, though an example on the same page shows 204.
    Ok(respond::empty(StatusCode::OK))
}

/// Gives a bucket its first tags.
pub(super) async fn tag_bucket(context: &Context<'_>, bucket: &BucketName, tags: &[Tag]) -> S3Result<()> {
    let mut xml = XmlWriter::fragment();
    tags::write(&mut xml, tags);
    let content = xml.into_text().into_bytes();
    Ok(context.shared.engine.put_bucket_document(bucket, kinds::TAGGING, Some(content)).await?)
}

async fn delete(context: &Context<'_>, kind: &Kind, bucket: &BucketName) -> S3Result<S3Response> {
    let name = document_name(context, kind)?;
    let engine = &context.shared.engine;
    if kind.has_ids && engine.bucket_document(bucket, &name).await?.is_none() {
        return Err(ErrorCode::NoSuchConfiguration.into());
    }
    // Without the default that a bucket has from the start, an empty document remembers that it was removed.
    let removed = (kind.default.is_some() && kind.missing.is_some()).then(Vec::new);
    engine.put_bucket_document(bucket, &name, removed).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

async fn list(context: &Context<'_>, kind: &Kind, bucket: &BucketName) -> S3Result<S3Response> {
    let scope = format!("{bucket}/{}", kind.name);
    let token = context.query.non_empty("continuation-token");
    let after = token.map(|token| token::decode(&scope, token)).transpose()?.unwrap_or_default();
    let engine = &context.shared.engine;
    let mut page = engine.bucket_documents(bucket, kind.name, &after, PAGE + 1).await?;
    let more = page.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    page.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let mut xml = XmlWriter::document(kind.list_root);
    xml.optional("ContinuationToken", token);
    let next = page.last().filter(|_| more).map(|last| token::encode(&scope, &last.name));
    for found in page {
        xml.open(kind.root);
        xml.raw(&text(found.document.unwrap_or_default())?);
        xml.close(kind.root);
    }
    xml.plain("IsTruncated", more);
    xml.optional("NextContinuationToken", next.as_deref());
    Ok(respond::xml(xml.finish(kind.list_root)))
}

/// Takes any bytes for a document of every kind. What is kept of one must be taken, as it is, again.
#[cfg(any(test, fuzzing))]
#[cfg_attr(test, allow(unreachable_pub, reason = "only fuzz targets reach it from outside"))]
pub fn check_all(document: &[u8]) {
    let Ok(root) = read::parse(document, &LIMITS) else { return };
    for kind in kinds::ALL {
        let Ok(content) = schema::check(&root, kind.schema) else { continue };
        if (kind.check)(&root).is_err() {
            continue;
        }
        let again = format!("<{0}>{content}</{0}>", kind.root);
        let limits = Limits { length_bytes: usize::MAX, ..LIMITS };
        // Characters that XML cannot carry are written all the same, as S3 does, and are not read again.
        let Ok(parsed) = read::parse(again.as_bytes(), &limits) else { continue };
        assert_eq!(schema::check(&parsed, kind.schema).ok(), Some(content), "{}", kind.root);
    }
}

#[cfg(test)]
#[path = "configs_tests.rs"]
mod tests;
