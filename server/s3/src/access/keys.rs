//! The values of the condition keys of a request.
//!
//! What a client may set at will is what the key is defined as; the address is the peer's and nothing a header says.
//! Sources: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>,
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html#amazons3-policy-keys>

use std::time::SystemTime;

use granary_auth::policy::Context as Values;
use granary_auth::{AuthMethod, Peer, Principal};
use granary_types::UnixMillis;
use http::request::Parts;
use http::{Method, header};

use super::compared;
use super::owner::Owner;
use crate::copy_source::CopySourceHeader;
use crate::dates::{iso_date_millis, parse_iso_millis};
use crate::operation::Operation;
use crate::query::Query;
use crate::state::S3Config;
use crate::tags;

/// The headers of writes whose values are keys of the same name.
const WRITE_HEADERS: &[&str] = &[
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];
const REMAINING: &str = "s3:object-lock-remaining-retention-days";

/// Other headers that are keys of another name.
const NAMED_HEADERS: &[(&str, &str)] = &[
    ("x-amz-object-lock-mode", "s3:object-lock-mode"),
    ("x-amz-object-lock-retain-until-date", "s3:object-lock-retain-until-date"),
    ("x-amz-object-lock-legal-hold", "s3:object-lock-legal-hold"),
];

/// A request whose signature was right, as far as policies may ask about it.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) query: &'a Query<'a>,
    pub(crate) method: AuthMethod,
    pub(crate) operation: Operation,
}

impl<'a> Sent<'a> {
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }
}

/// The values of a request.
pub(super) fn of_request(principal: &Principal, config: &S3Config, sent: &Sent<'_>) -> Values {
    let mut values = of_anyone(principal, sent.parts.extensions.get::<Peer>());
    if let Some(owner) = Owner::of_principal(principal, config) {
        if let Principal::Root { .. } = principal {
            values.set("aws:PrincipalArn", format!("arn:aws:iam::{}:root", owner.account));
        }
        values.set("aws:PrincipalAccount", owner.account);
    }
    values.set("aws:RequestedRegion", config.region.as_str());
    for (name, key) in [(header::USER_AGENT, "aws:UserAgent"), (header::REFERER, "aws:Referer")] {
        if let Some(value) = sent.header(name.as_str()) {
            values.set(key, value);
        }
    }
    of_signature(sent, &mut values);
    of_query(sent, &mut values);
    of_headers(sent, &mut values);
    compared::of_headers(sent, &mut values);
    values
}

/// What is known of whoever asks, whatever they ask.
fn of_anyone(principal: &Principal, peer: Option<&Peer>) -> Values {
    let mut values = Values::new();
    values.set_time(SystemTime::now());
    values.set_connection(peer);
    if let Some(version) = peer.and_then(|peer| peer.tls_version) {
        values.set("s3:TlsVersion", version);
    }
    match principal {
        Principal::Anonymous => {
            values.set("aws:PrincipalType", "Anonymous");
            values.set("aws:userid", "anonymous");
        }
        Principal::Root { access_key } => {
            values.set("aws:PrincipalType", "Account");
            values.set("aws:userid", access_key.as_ref());
        }
        Principal::User(identity) => identity.describe(&mut values),
    }
    values
}

fn of_signature(sent: &Sent<'_>, values: &mut Values) {
    const V2: &str = "AWS";
    const V4: &str = "AWS4-HMAC-SHA256";
    let (kind, version, signed_at) = match sent.method {
        AuthMethod::Anonymous => return,
        AuthMethod::Header => ("REST-HEADER", V4, sent.header("x-amz-date")),
        AuthMethod::Presigned => ("REST-QUERY-STRING", V4, sent.query.get("X-Amz-Date")),
        AuthMethod::Form => ("POST", V4, sent.header("x-amz-date")),
        AuthMethod::FormV2 => ("POST", V2, None),
        AuthMethod::HeaderV2 => ("REST-HEADER", V2, sent.header("x-amz-date")),
        AuthMethod::PresignedV2 => ("REST-QUERY-STRING", V2, None),
    };
    values.set("s3:authType", kind);
    values.set("s3:signatureversion", version);
    if let Some(age_ms) = signed_at.and_then(age_ms) {
        values.set("s3:signatureAge", age_ms.to_string());
    }
    let hash = sent.header("x-amz-content-sha256").or(sent.query.get("X-Amz-Content-Sha256"));
    let is_presigned = matches!(sent.method, AuthMethod::Presigned | AuthMethod::PresignedV2);
    let unsigned = is_presigned.then_some("UNSIGNED-PAYLOAD");
    if let Some(hash) = hash.or(unsigned) {
        values.set("s3:x-amz-content-sha256", hash);
    }
}

/// How long ago a time such as `20261129T071810Z` was.
fn age_ms(signed_at: &str) -> Option<i64> {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = time::PrimitiveDateTime::parse(signed_at, format).ok()?.assume_utc().unix_timestamp();
    Some(UnixMillis::now().0.saturating_sub(at.checked_mul(1000)?).max(0))
}

fn of_query(sent: &Sent<'_>, values: &mut Values) {
    let lists = matches!(
        sent.operation,
        Operation::ListObjects
            | Operation::ListObjectsV2
            | Operation::ListObjectVersions
            | Operation::ListMultipartUploads
    );
    let query = sent.query;
    if lists {
        for (parameter, key) in
            [("prefix", "s3:prefix"), ("delimiter", "s3:delimiter"), ("max-keys", "s3:max-keys")]
        {
            if let Some(value) = query.get(parameter) {
                values.set(key, value);
            }
        }
    }
}

fn of_headers(sent: &Sent<'_>, values: &mut Values) {
    if ![Method::PUT, Method::POST].contains(&sent.operation.method()) {
        return;
    }
    for name in WRITE_HEADERS {
        if let Some(value) = sent.header(name) {
            values.set(&format!("s3:{name}"), value);
        }
    }
    for (name, key) in NAMED_HEADERS {
        if let Some(value) = sent.header(name) {
            values.set(key, value);
        }
    }
    // Only an operation that copies has a source, whatever header another one comes with.
    let copies = matches!(sent.operation, Operation::CopyObject | Operation::UploadPartCopy);
    if let Some(text) = sent.header("x-amz-copy-source").filter(|_| copies)
        && let Ok(source) = CopySourceHeader::parse(text)
    {
        values.set("s3:x-amz-copy-source", format!("{}/{}", source.bucket, source.key.as_str()));
    }
    if let Some(until) = sent.header("x-amz-object-lock-retain-until-date").and_then(parse_iso_millis) {
        values.set(REMAINING, remaining_days(until).to_string());
    }
    if let Ok(tags) = tags::of_header(&sent.parts.headers) {
        of_tags(values, &tags);
    }
}

/// Days from now until then, begun ones counted as whole.
fn remaining_days(until: UnixMillis) -> i64 {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let left_ms = until.0.saturating_sub(UnixMillis::now().0).max(0);
    left_ms / DAY_MS + i64::from(left_ms % DAY_MS > 0)
}

/// Adds the tags that a request gives to an object.
pub(crate) fn of_tags(values: &mut Values, tags: &[(String, String)]) {
    values.set_tags("s3:RequestObjectTag/", tags);
    values.set_all("s3:RequestObjectTagKeys", tags.iter().map(|(key, _)| key.clone()).collect());
}

/// Adds what an inventory is to tell of objects beside what it always tells.
pub(crate) fn of_inventory(values: &mut Values, fields: Vec<String>) {
    values.set_all("s3:InventoryAccessibleOptionalFields", fields);
}

/// Adds the locks that a request gives to a version.
pub(crate) fn of_lock(
    values: &mut Values,
    mode: Option<&str>,
    until: Option<UnixMillis>,
    hold: Option<&str>,
) {
    if let Some(mode) = mode {
        values.set("s3:object-lock-mode", mode);
    }
    if let Some(until) = until {
        values.set("s3:object-lock-retain-until-date", iso_date_millis(until));
        values.set(REMAINING, remaining_days(until).to_string());
    }
    if let Some(hold) = hold {
        values.set("s3:object-lock-legal-hold", hold);
    }
}
