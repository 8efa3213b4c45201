//! Rules as a document.

use bytes::Bytes;
use granary_engine::{
    Expiration, FilterShape, LifecycleFilter, LifecycleRule, LifecycleRules, RuleStatus, TransitionTime,
};

use crate::xml::XmlWriter;

const ROOT: &str = "LifecycleConfiguration";

/// Writes a `LifecycleConfiguration` document.
pub(crate) fn document(rules: &LifecycleRules) -> Bytes {
    let mut xml = XmlWriter::document(ROOT);
    for rule in &rules.rules {
        xml.open("Rule");
        write_rule(&mut xml, rule);
        xml.close("Rule");
    }
    xml.finish(ROOT)
}

fn write_rule(xml: &mut XmlWriter, rule: &LifecycleRule) {
    xml.text("ID", &rule.id);
    match rule.filter.shape {
        FilterShape::RulePrefix => xml.text("Prefix", rule.filter.prefix()),
        FilterShape::Plain => {
            xml.open("Filter");
            write_conditions(xml, &rule.filter);
            xml.close("Filter");
        }
        FilterShape::And => {
            xml.open("Filter");
            xml.open("And");
            write_conditions(xml, &rule.filter);
            xml.close("And");
            xml.close("Filter");
        }
    }
    xml.literal(
        "Status",
        match rule.status {
            RuleStatus::Enabled => "Enabled",
            RuleStatus::Disabled => "Disabled",
        },
    );
    write_actions(xml, rule);
}

fn write_conditions(xml: &mut XmlWriter, filter: &LifecycleFilter) {
    xml.optional("Prefix", filter.prefix.as_deref());
    for (key, value) in &filter.tags {
        xml.open("Tag");
        xml.text("Key", key);
        xml.text("Value", value);
        xml.close("Tag");
    }
    if let Some(bytes) = filter.longer_than_bytes {
        xml.plain("ObjectSizeGreaterThan", bytes);
    }
    if let Some(bytes) = filter.shorter_than_bytes {
        xml.plain("ObjectSizeLessThan", bytes);
    }
}

fn write_actions(xml: &mut XmlWriter, rule: &LifecycleRule) {
    if let Some(expiration) = rule.expiration {
        xml.open("Expiration");
        match expiration {
            Expiration::Days(days) => xml.plain("Days", days),
            Expiration::Date(date) => xml.time("Date", date),
            Expiration::Markers(markers) => xml.plain("ExpiredObjectDeleteMarker", markers),
        }
        xml.close("Expiration");
    }
    for transition in &rule.transitions {
        xml.open("Transition");
        match transition.at {
            TransitionTime::Days(days) => xml.plain("Days", days),
            TransitionTime::Date(date) => xml.time("Date", date),
        }
        xml.literal("StorageClass", transition.class.as_str());
        xml.close("Transition");
    }
    for transition in &rule.noncurrent_transitions {
        xml.open("NoncurrentVersionTransition");
        xml.plain("NoncurrentDays", transition.days);
        if let Some(newer) = transition.newer {
            xml.plain("NewerNoncurrentVersions", newer);
        }
        xml.literal("StorageClass", transition.class.as_str());
        xml.close("NoncurrentVersionTransition");
    }
    if let Some(noncurrent) = rule.noncurrent {
        xml.open("NoncurrentVersionExpiration");
        xml.plain("NoncurrentDays", noncurrent.days);
        if let Some(newer) = noncurrent.newer {
            xml.plain("NewerNoncurrentVersions", newer);
        }
        xml.close("NoncurrentVersionExpiration");
    }
    if let Some(days) = rule.abort_days {
        xml.open("AbortIncompleteMultipartUpload");
        xml.plain("DaysAfterInitiation", days);
        xml.close("AbortIncompleteMultipartUpload");
    }
}
