//! Buckets as websites: `GET http://bucket.website-domain/path`, for browsers and without signatures.
//!
//! A page is an object that is read as anybody may read it, by the same authorisation and the same handler as GetObject.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html>

mod page;
mod rules;

use axum::body::Body;
use granary_auth::{AuthMethod, PayloadMode, Principal, Verified};
use granary_types::BucketName;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};

use crate::address::{Address, object_key};
use crate::context::{Context, ReceivedMeter};
use crate::encoding::decode;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::operation::Operation;
use crate::query::Query;
use crate::respond::{self, S3Response};
use crate::router;
use crate::state::S3State;
use crate::xml::read::Element;
use rules::{Redirect, Website};

/// The name of the configuration.
const DOCUMENT: &str = "website/";

/// Whether a configuration can be followed.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(root: &Element) -> S3Result<()> {
    Website::check(root)
}

/// A request to a website.
struct Visit<'a> {
    state: &'a S3State,
    parts: &'a Parts,
    host: &'a str,
    received: &'a ReceivedMeter,
    bucket: BucketName,
}

/// Answers a request to the website of the bucket that its host names. Errors are pages too.
pub(crate) async fn serve(
    state: &S3State,
    parts: &Parts,
    (host, bucket): (&str, &str),
    received: &ReceivedMeter,
) -> S3Response {
    let visited = async {
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            let allowed = HeaderValue::from_static("GET, HEAD");
            return Err(S3Error::new(ErrorCode::MethodNotAllowed)
                .field("Method", parts.method.as_str())
                .header(header::ALLOW, allowed));
        }
        let bucket = BucketName::new(bucket).map_err(|error| {
            S3Error::new(ErrorCode::NoSuchBucket).field("BucketName", bucket).because(error)
        })?;
        Visit { state, parts, host, received, bucket }.answer().await
    };
    visited.await.unwrap_or_else(|error| {
        if respond::is_server_fault(error.code()) {
            tracing::error!(website = bucket, path = parts.uri.path(), %error, cause = error.causes());
        }
        page::error(&parts.method, &error)
    })
}

impl Visit<'_> {
    async fn answer(&self) -> S3Result<S3Response> {
        let stored = self.state.0.engine.bucket_document(&self.bucket, DOCUMENT).await?;
        let missing =
            || S3Error::new(ErrorCode::NoSuchWebsiteConfiguration).field("BucketName", self.bucket.as_str());
        let website = Website::of_stored(&stored.ok_or_else(missing)?)?;
        let path = self.parts.uri.path();
        let key = decode(path.strip_prefix('/').unwrap_or(path));
        let key = key.ok_or_else(|| S3Error::new(ErrorCode::InvalidURI).field("URI", path))?;
        if let Some(target) = &website.redirects_all {
            let mut location = target.location(self.host, &key);
            if let Some(query) = self.parts.uri.query() {
                location = format!("{location}?{query}");
            }
            return Ok(page::redirect(Redirect { code: StatusCode::MOVED_PERMANENTLY, location }));
        }
        if let Some(redirect) = website.redirect(&key, None, self.host) {
            return Ok(page::redirect(redirect));
        }
        let is_directory = key.is_empty() || key.ends_with('/');
        let object = if is_directory { format!("{key}{}", website.index) } else { key.clone().into_owned() };
        let error = match self.page(&object, self.parts).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        if error.code() == ErrorCode::NotModified {
            return Err(error);
        }
        // `/docs` is the page `/docs/`, if that has an index.
        let index = format!("{object}/{}", website.index);
        // Who may not list is not told whether the key is there.
        let may_be_missing = matches!(error.code(), ErrorCode::NoSuchKey | ErrorCode::AccessDenied);
        if may_be_missing && !is_directory && self.exists(&index).await {
            let location = format!("{}/", rules::Target::default().location(self.host, &key));
            return Ok(page::redirect(Redirect { code: StatusCode::FOUND, location }));
        }
        self.failed(&website, &key, error).await
    }

    /// What is shown for an error: a redirect, the website's page for errors, or one made here.
    async fn failed(&self, website: &Website, key: &str, error: S3Error) -> S3Result<S3Response> {
        let status = error.code().status();
        if let Some(redirect) = website.redirect(key, Some(status), self.host) {
            return Ok(page::redirect(redirect));
        }
        if let (Some(own), true) = (&website.error, status.is_client_error())
            && let Ok(mut shown) = self.page(own, &self.without_conditions()).await
        {
            if shown.status() == StatusCode::OK {
                *shown.status_mut() = status;
            }
            return Ok(shown);
        }
        Err(error)
    }

    async fn exists(&self, key: &str) -> bool {
        let mut head = self.without_conditions();
        head.method = Method::HEAD;
        self.page(key, &head).await.is_ok()
    }

    /// The object `key`, as anybody may read it with the request `parts`.
    async fn page(&self, key: &str, parts: &Parts) -> S3Result<S3Response> {
        let (principal, method) = (Principal::Anonymous, AuthMethod::Anonymous);
        let verified = Verified { principal, method, payload: PayloadMode::Unsigned };
        let query = Query::default();
        let parts = plain(parts);
        let operation =
            if parts.method == Method::HEAD { Operation::HeadObject } else { Operation::GetObject };
        let request = (&parts, &query, self.host);
        let context = Context::new(self.state, request, &verified, operation, self.received);
        let address = Address::Object(self.bucket.clone(), object_key(key)?);
        let found = router::run(&context, operation, address, Body::empty()).await?;
        Ok(match page::of_object(found.headers()) {
            Some(location) => page::redirect(Redirect { code: StatusCode::MOVED_PERMANENTLY, location }),
            None => found,
        })
    }

    /// The request without what is about the page it asked for.
    fn without_conditions(&self) -> Parts {
        let mut parts = self.parts.clone();
        for name in [
            header::RANGE,
            header::IF_RANGE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_UNMODIFIED_SINCE,
        ] {
            parts.headers.remove(name);
        }
        parts
    }
}

/// The request without what only S3's clients say.
fn plain(parts: &Parts) -> Parts {
    let mut plain = parts.clone();
    let own: Vec<_> =
        plain.headers.keys().filter(|name| name.as_str().starts_with("x-amz-")).cloned().collect();
    for name in own {
        plain.headers.remove(name);
    }
    plain
}
