//! Access logs become objects.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use granary_auth::policy::{Caller, Context as Values, PolicyRequest, ResourceDecision};
use granary_engine::{Digests, Freshness, PutOptions, PutSource, SourceError};
use granary_types::{Attributes, Etag, ObjectKey, UnixMillis, WriteId};
use md5::{Digest as _, Md5};

use super::{KeyFormat, LogTarget, Waiting};
use crate::access;
use crate::access::acl::Permission;
use crate::access::rules::{Rules, Stored};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::state::{S3State, Shared};

/// Who delivers, as policies name it.
const SERVICE: &str = "logging.s3.amazonaws.com";

impl S3State {
    /// Delivers access logs for ever.
    pub async fn deliver_logs_forever(self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.deliver_logs().await;
        }
    }

    /// Delivers the access logs that wait now.
    pub async fn deliver_logs(&self) {
        for waiting in self.0.access_logs.take() {
            let lines = waiting.lines.lines().count();
            let outcome = match deliver(&self.0, &waiting).await {
                Ok(()) => "delivered",
                Err(error) => {
                    let cause = error.causes();
                    tracing::warn!(bucket = %waiting.rules.bucket, lines, %error, cause, "access logs could not be delivered and are lost");
                    "lost"
                }
            };
            metrics::counter!("granary_access_log_lines_total", "outcome" => outcome).increment(lines as u64);
        }
    }
}

async fn deliver(shared: &Shared, waiting: &Waiting) -> S3Result<()> {
    let source = &*waiting.rules;
    let Some(target) = &source.logging else { return Ok(()) };
    let key = key(source, target, UnixMillis::now())?;
    let rules = access::rules(shared, &target.bucket, Freshness::Current).await?;
    if rules.owner.account != source.owner.account || !lets_in(&rules, source, &key) {
        return Err(S3Error::with_message(
            ErrorCode::AccessDenied,
            "The target bucket does not let logging.s3.amazonaws.com write",
        ));
    }
    let text = Bytes::from(waiting.lines.clone());
    let mut body = Lines { etag: Etag::new(hex::encode(Md5::digest(&text))), text: Some(text) };
    let attributes = Attributes { content_type: Some("text/plain".to_owned()), ..Attributes::default() };
    let options = PutOptions { attributes, ..PutOptions::default() };
    shared.engine.put_object(&target.bucket, &key, options, &mut body).await?;
    Ok(())
}

/// Whether the target lets logs in: by its policy, or by its list where lists count.
fn lets_in(target: &Rules, source: &Rules, key: &ObjectKey) -> bool {
    let mut values = Values::new();
    values.set("aws:PrincipalIsAWSService", "true");
    values.set("aws:PrincipalServiceName", SERVICE);
    values.set("aws:SecureTransport", "true");
    values.set("aws:SourceAccount", source.owner.account.as_str());
    values.set("aws:SourceArn", format!("arn:aws:s3:::{}", source.bucket));
    values.set("s3:ResourceAccount", target.owner.account.as_str());
    values.set("aws:ResourceAccount", target.owner.account.as_str());
    let resource = format!("arn:aws:s3:::{}/{}", target.bucket, key.as_str());
    let request = PolicyRequest { action: "s3:PutObject", resource: &resource, context: &values };
    let by_policy = match target.policy() {
        Stored::Absent => ResourceDecision::ImplicitDeny,
        Stored::Unreadable => ResourceDecision::ExplicitDeny,
        Stored::Present(policy) => policy.decide(&Caller::Service(SERVICE), &request),
    };
    match by_policy {
        ResourceDecision::Allow(_) => true,
        ResourceDecision::ExplicitDeny => false,
        ResourceDecision::ImplicitDeny => {
            target.bucket_acl().is_ok_and(|acl| acl.grants_to_log_delivery(Permission::Write))
        }
    }
}

/// `prefix2019-02-06-00-00-38-` and something unique, or with what it is of before.
fn key(source: &Rules, target: &LogTarget, now: UnixMillis) -> S3Result<ObjectKey> {
    let broken = |error: &dyn std::fmt::Display| {
        S3Error::new(ErrorCode::InternalError).because(format!("the key of a log: {error}"))
    };
    let at = time::OffsetDateTime::from_unix_timestamp(now.seconds()).map_err(|error| broken(&error))?;
    let format = time::macros::format_description!("[year]-[month]-[day]-[hour]-[minute]-[second]");
    let stamp = at.format(format).map_err(|error| broken(&error))?;
    let unique = WriteId::random().map_err(|error| broken(&error))?.to_string();
    let unique: String = unique.chars().take(16).collect::<String>().to_ascii_uppercase();
    let partition = match target.format {
        KeyFormat::Simple => String::new(),
        KeyFormat::Partitioned => {
            let (account, region, bucket) = (&source.owner.account, &source.region, &source.bucket);
            let (year, rest) = stamp.split_once('-').unwrap_or_default();
            let (month, rest) = rest.split_once('-').unwrap_or_default();
            let (day, _) = rest.split_once('-').unwrap_or_default();
            format!("{account}/{region}/{bucket}/{year}/{month}/{day}/")
        }
    };
    let text = format!("{}{partition}{stamp}-{unique}", target.prefix);
    ObjectKey::new(&text).map_err(|error| broken(&error))
}

/// The lines as a body.
struct Lines {
    text: Option<Bytes>,
    etag: Etag,
}

#[async_trait]
impl PutSource for Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        Ok(self.text.take().filter(|text| !text.is_empty()))
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        Ok(Digests { etag: self.etag.clone(), checksum: None })
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        self.text.as_ref().map(|text| text.len() as u64)
    }
}
