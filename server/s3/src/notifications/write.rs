//! A configuration of notifications as a document.

use bytes::Bytes;
use granary_engine::{DestinationKind, NotificationRules};

use crate::xml::XmlWriter;

const ROOT: &str = "NotificationConfiguration";

/// Writes a `NotificationConfiguration` document.
pub(crate) fn document(rules: &NotificationRules) -> Bytes {
    let mut xml = XmlWriter::document(ROOT);
    for rule in &rules.rules {
        let (element, named) = match rule.destination {
            DestinationKind::Queue => ("QueueConfiguration", "Queue"),
            DestinationKind::Topic => ("TopicConfiguration", "Topic"),
        };
        xml.open(element);
        xml.text("Id", &rule.id);
        xml.text(named, &rule.arn);
        for event in &rule.events {
            xml.text("Event", event);
        }
        let ends = [("prefix", &rule.prefix), ("suffix", &rule.suffix)];
        if ends.iter().any(|(_, value)| value.is_some()) {
            xml.open("Filter");
            xml.open("S3Key");
            for (name, value) in ends {
                if let Some(value) = value {
                    xml.open("FilterRule");
                    xml.literal("Name", name);
                    xml.text("Value", value);
                    xml.close("FilterRule");
                }
            }
            xml.close("S3Key");
            xml.close("Filter");
        }
        xml.close(element);
    }
    xml.finish(ROOT)
}
