//! What the services of this server may do on behalf of buckets: what the target of theirs lets them.

use granary_auth::policy::{Caller, Context as Values, Grant, PolicyRequest, ResourceDecision};
use granary_types::ObjectKey;

use super::acl::Permission;
use super::rules::{Rules, Stored};

/// Who delivers access logs, as policies name it.
pub(crate) const LOGGING: &str = "logging.s3.amazonaws.com";
/// Who delivers inventories.
pub(crate) const INVENTORY: &str = "s3.amazonaws.com";
/// Neither the number nor the canonical id of an account.
const NO_ACCOUNT: &str = "none";

/// Whether a service may write that key on behalf of a bucket: by the target's policy or, for access logs and where lists
/// count, by its list.
pub(crate) fn may_write(service: &str, source: &Rules, (target, key): (&Rules, &ObjectKey)) -> bool {
    match by_policy(service, (source, &source.owner.account), (target, key.as_str())) {
        ResourceDecision::Allow(_) => true,
        ResourceDecision::ExplicitDeny => false,
        ResourceDecision::ImplicitDeny => {
            let lets_in = target.bucket_acl().is_ok_and(|acl| acl.grants_to_log_delivery(Permission::Write));
            service == LOGGING && lets_in
        }
    }
}

/// Whether the logs of a bucket may be written below a prefix, as Ceph's object gateway decides it: by the target's policy alone,
/// which names the service, and is asked of the prefix. It may name the source's account by its number or its canonical id.
pub(crate) fn may_log_below(source: &Rules, (target, prefix): (&Rules, &str)) -> bool {
    let said = |account: &str| by_policy(LOGGING, (source, account), (target, prefix));
    let names = [said(&source.owner.account), said(&source.owner.canonical)];
    let allows = |said: &ResourceDecision| *said == ResourceDecision::Allow(Grant::Caller);
    // A policy that is for all but some accounts names one by one of its names only: the other must not pass for somebody else's.
    match said(NO_ACCOUNT) {
        ResourceDecision::Allow(_) => names.iter().all(allows),
        ResourceDecision::ImplicitDeny => {
            !names.contains(&ResourceDecision::ExplicitDeny) && names.iter().any(allows)
        }
        ResourceDecision::ExplicitDeny => names.iter().any(allows),
    }
}

/// What the target's policy says of a service that writes there on behalf of a bucket of an account.
fn by_policy(
    service: &str,
    (source, account): (&Rules, &str),
    (target, key): (&Rules, &str),
) -> ResourceDecision {
    let mut values = Values::new();
    values.set("aws:PrincipalIsAWSService", "true");
    values.set("aws:PrincipalServiceName", service);
    values.set("aws:SecureTransport", "true");
    values.set("aws:SourceAccount", account);
    values.set("aws:SourceArn", format!("arn:aws:s3:::{}", source.bucket));
    values.set("s3:ResourceAccount", target.owner.account.as_str());
    values.set("aws:ResourceAccount", target.owner.account.as_str());
    // As AWS sends it, so that its own example of a policy holds.
    values.set("s3:x-amz-acl", "bucket-owner-full-control");
    let resource = format!("arn:aws:s3:::{}/{key}", target.bucket);
    let request = PolicyRequest { action: "s3:PutObject", resource: &resource, context: &values };
    match &target.policy {
        Stored::Absent => ResourceDecision::ImplicitDeny,
        Stored::Unreadable => ResourceDecision::ExplicitDeny,
        Stored::Present(policy) => policy.decide(&Caller::Service(service), &request),
    }
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
