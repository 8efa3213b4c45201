//! A configuration of notifications, checked as AWS checks it.

use granary_engine::{DestinationKind, NotificationRule, NotificationRules};

use crate::error::{S3Error, S3Result};
use crate::xml::read::{Element, Limits, malformed, parse as parse_xml};

/// For as many configurations as there may be, each with all events and two filters.
pub(crate) const LIMITS: Limits = Limits { length_bytes: 256 * 1024, depth: 8, elements: 10_000 };

/// The most configurations of a bucket.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-enable-disable-notification-intro.html>
const CONFIGURATIONS_MAX: usize = 100;
const ID_CHARS_MAX: usize = 255;
const FILTER_BYTES_MAX: usize = 1024;

/// All events that S3 has. Those of what this server does not do never happen.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>
const EVENTS: &[&str] = &[
    "s3:ReducedRedundancyLostObject",
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationNotTracked",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectAcl:Put",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
];

/// Reads a `NotificationConfiguration` document. Configurations without an id get one.
///
/// # Errors
/// `MalformedXML`, `InvalidArgument` as AWS gives them; `NotImplemented` for EventBridge.
pub(crate) fn parse(
    document: &[u8],
    targets: &[String],
    mut new_id: impl FnMut() -> String,
) -> S3Result<NotificationRules> {
    let root = parse_xml(document, &LIMITS)?;
    if root.name != "NotificationConfiguration" {
        return Err(malformed());
    }
    if root.children.len() > CONFIGURATIONS_MAX {
        return Err(malformed());
    }
    let mut rules: Vec<NotificationRule> = Vec::with_capacity(root.children.len());
    for child in &root.children {
        let (destination, named) = match child.name.as_str() {
            "QueueConfiguration" => (DestinationKind::Queue, "Queue"),
            "TopicConfiguration" => (DestinationKind::Topic, "Topic"),
            "CloudFunctionConfiguration" => {
                let function = child.child("CloudFunction").or_else(|| child.child("LambdaFunctionArn"));
                return Err(unknown(&function.map(|named| named.text.clone()).unwrap_or_default()));
            }
            "EventBridgeConfiguration" => return Err(S3Error::not_implemented("EventBridge")),
            _ => return Err(malformed()),
        };
        let mut rule = read_rule(child, (destination, named), targets)?;
        if rule.id.is_empty() {
            rule.id = new_id();
        }
        if rules.iter().any(|other| other.id == rule.id) {
            let message = "Same ID used for multiple configurations. IDs must be unique";
            return Err(S3Error::invalid_argument("Id", rule.id, message));
        }
        if rules.iter().any(|other| overlap(other, &rule)) {
            let message =
                "Configurations overlap. Configurations on the same bucket cannot share a common event type.";
            return Err(S3Error::invalid_argument("Event", rule.events.join(","), message));
        }
        rules.push(rule);
    }
    Ok(NotificationRules { rules })
}

fn read_rule(
    element: &Element,
    (destination, named): (DestinationKind, &str),
    targets: &[String],
) -> S3Result<NotificationRule> {
    let (mut id, mut arn, mut events, mut filter) = (None, None, Vec::new(), None);
    for child in &element.children {
        let place = match child.name.as_str() {
            "Id" => &mut id,
            name if name == named => &mut arn,
            "Event" => {
                events.push(event(child)?);
                continue;
            }
            "Filter" if filter.is_none() => {
                filter = Some(read_filter(child)?);
                continue;
            }
            _ => return Err(malformed()),
        };
        if place.replace(child.text.trim().to_owned()).is_some() || !child.children.is_empty() {
            return Err(malformed());
        }
    }
    let arn = arn.ok_or_else(malformed)?;
    if events.is_empty() {
        return Err(malformed());
    }
    events.dedup();
    let id = id.unwrap_or_default();
    if id.chars().count() > ID_CHARS_MAX {
        return Err(S3Error::invalid_argument("Id", id, "The id of a configuration is too long"));
    }
    let target = target_of(&arn, destination).filter(|target| targets.iter().any(|known| known == target));
    let target = target.ok_or_else(|| unknown(&arn))?.to_owned();
    let (prefix, suffix) = filter.unwrap_or_default();
    Ok(NotificationRule { id, destination, arn, target, events, prefix, suffix })
}

fn unknown(arn: &str) -> S3Error {
    let message = "Unable to validate the following destination configurations";
    S3Error::invalid_argument("Destination", arn, message)
}

/// The target that an ARN names: `arn:granary:sqs:REGION:ACCOUNT:NAME`, for tools that insist also as of `aws`.
fn target_of(arn: &str, destination: DestinationKind) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let (scheme, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (_region, _account, name) = (parts.next()?, parts.next()?, parts.next()?);
    let expected = match destination {
        DestinationKind::Queue => "sqs",
        DestinationKind::Topic => "sns",
    };
    let fits = scheme == "arn" && matches!(partition, "granary" | "aws") && service == expected;
    fits.then_some(name).filter(|name| !name.is_empty())
}

fn event(element: &Element) -> S3Result<String> {
    let name = element.text.trim();
    if EVENTS.contains(&name) {
        return Ok(name.to_owned());
    }
    let message = "A specified event is not supported for notifications.";
    Err(S3Error::invalid_argument("Event", name, message))
}

/// The beginning and the end that keys must have.
type Ends = (Option<String>, Option<String>);

fn read_filter(element: &Element) -> S3Result<Ends> {
    let mut ends: Ends = (None, None);
    let [key] = element.children.as_slice() else {
        return if element.children.is_empty() { Ok(ends) } else { Err(malformed()) };
    };
    if key.name != "S3Key" {
        return Err(malformed());
    }
    for rule in &key.children {
        let (name, value) = (rule.child("Name"), rule.child("Value"));
        let (Some(name), Some(value)) = (name, value) else { return Err(malformed()) };
        if rule.name != "FilterRule" || rule.children.len() != 2 {
            return Err(malformed());
        }
        let name = name.text.trim();
        let end = match name.to_ascii_lowercase().as_str() {
            "prefix" => &mut ends.0,
            "suffix" => &mut ends.1,
            _ => {
                let message = "filter rule name must be either prefix or suffix";
                return Err(S3Error::invalid_argument("FilterRule.Name", name, message));
            }
        };
        if value.text.len() > FILTER_BYTES_MAX {
            let message = "filter rule value cannot have more than 1024 bytes";
            return Err(S3Error::invalid_argument("FilterRule.Value", value.text.clone(), message));
        }
        if end.replace(value.text.clone()).is_some() {
            let message =
                "Cannot specify more than one prefix rule or more than one suffix rule in a filter.";
            return Err(S3Error::invalid_argument("FilterRule", name, message));
        }
    }
    Ok(ends)
}

/// Whether one event of one key could be for both.
fn overlap(one: &NotificationRule, other: &NotificationRule) -> bool {
    let shared = |a: &String, b: &String| {
        let covers = |family: &str, name: &str| {
            family == name || family.strip_suffix('*').is_some_and(|begin| name.starts_with(begin))
        };
        covers(a, b) || covers(b, a)
    };
    let begin = |rule: &NotificationRule| rule.prefix.clone().unwrap_or_default();
    let end = |rule: &NotificationRule| rule.suffix.clone().unwrap_or_default();
    let (a, b) = (begin(one), begin(other));
    let begins = a.starts_with(&b) || b.starts_with(&a);
    let (a, b) = (end(one), end(other));
    let ends = a.ends_with(&b) || b.ends_with(&a);
    begins && ends && one.events.iter().any(|a| other.events.iter().any(|b| shared(a, b)))
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
