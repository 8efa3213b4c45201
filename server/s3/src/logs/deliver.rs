//! Access logs become objects.

use std::time::Duration;

use granary_engine::{Freshness, PutOptions};
use granary_types::{Attributes, ObjectKey, UnixMillis, WriteId};

use super::{KeyFormat, LogTarget, Waiting, grants};
use crate::access;
use crate::access::rules::Rules;
use crate::access::services;
use crate::dialect::Dialect;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::state::{S3State, Shared};
use crate::text_body::TextBody;

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
    if !lets_in(shared.config.dialect, (source, target), (&rules, &key)) {
        return Err(S3Error::with_message(
            ErrorCode::AccessDenied,
            "The target bucket does not let logging.s3.amazonaws.com write",
        ));
    }
    let mut body = TextBody::new(waiting.lines.clone());
    let attributes = Attributes { content_type: Some("text/plain".to_owned()), ..Attributes::default() };
    let acl = grants::acl_of(shared, &target.grants, &rules);
    let options = PutOptions { attributes, acl, ..PutOptions::default() };
    shared.engine.put_object(&target.bucket, &key, options, &mut body).await?;
    Ok(())
}

/// Whether the target of a bucket's logs lets one in. Logs of another account's bucket are let in by a policy for their prefix only.
fn lets_in(
    dialect: Dialect,
    (source, target): (&Rules, &LogTarget),
    (rules, key): (&Rules, &ObjectKey),
) -> bool {
    if dialect.asks_policy_of_log_prefix() {
        return services::may_log_below(source, (rules, &target.prefix));
    }
    rules.owner.account == source.owner.account
        && services::may_write(services::LOGGING, source, (rules, key))
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
