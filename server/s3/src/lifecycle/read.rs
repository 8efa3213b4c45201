//! Rules of a document, checked as AWS checks them.

use granary_engine::{
    Expiration, FilterShape, LifecycleFilter, LifecycleRule, LifecycleRules, NoncurrentExpiration,
    NoncurrentTransition, RuleStatus, Tag, Transition, TransitionTime,
};
use granary_types::{StorageClass, UnixMillis};

use super::{LIMITS, RULES_MAX};
use crate::dates::parse_iso_millis;
use crate::dialect::Dialect;
use crate::error::{S3Error, S3Result};
use crate::tags;
use crate::xml::read::{Element, malformed, parse};

const ID_CHARS_MAX: usize = 255;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The longest time of an action, in days.
const DAYS_MAX: u32 = 2_147_483_647;
const NEWER_MAX: u32 = 100;
/// An object has no more than 50 TB, and no limit is above it.
const SIZE_MAX: u64 = 50 << 40;

/// Reads a `LifecycleConfiguration` document. Rules without an id get one.
///
/// # Errors
/// `MalformedXML`, `InvalidRequest` and `InvalidArgument` as AWS gives them.
pub(crate) fn parse_rules(
    document: &[u8],
    dialect: Dialect,
    mut new_id: impl FnMut() -> String,
) -> S3Result<LifecycleRules> {
    let root = parse(document, &LIMITS)?;
    if root.name != "LifecycleConfiguration" || root.children.is_empty() {
        return Err(malformed());
    }
    if root.children.len() > RULES_MAX {
        return Err(malformed());
    }
    let mut rules: Vec<LifecycleRule> = Vec::with_capacity(root.children.len());
    for child in &root.children {
        if child.name != "Rule" {
            return Err(malformed());
        }
        let rule = parse_rule(child, dialect, &mut new_id)?;
        if rules.iter().any(|other| other.id == rule.id) {
            let message = "Rule ID must be unique. Found same ID for more than one rule";
            return Err(S3Error::invalid_argument("ID", rule.id, message));
        }
        rules.push(rule);
    }
    Ok(LifecycleRules { rules, transition_minimum: None })
}

fn parse_rule(
    element: &Element,
    dialect: Dialect,
    new_id: &mut impl FnMut() -> String,
) -> S3Result<LifecycleRule> {
    let mut rule = LifecycleRule {
        id: String::new(),
        status: RuleStatus::Disabled,
        filter: LifecycleFilter::default(),
        expiration: None,
        noncurrent: None,
        abort_days: None,
        transitions: Vec::new(),
        noncurrent_transitions: Vec::new(),
    };
    let (mut status, mut filter, mut has_id) = (None, None, false);
    for child in &element.children {
        let name = child.name.as_str();
        let repeats = element.children.iter().filter(|other| other.name == name).count() > 1;
        if repeats && !matches!(name, "Transition" | "NoncurrentVersionTransition") {
            return Err(malformed());
        }
        match name {
            "ID" => {
                rule.id.clone_from(&child.text);
                has_id = !child.text.is_empty();
            }
            "Status" => status = Some(parse_status(child)?),
            "Prefix" | "Filter" if filter.is_some() => return Err(malformed()),
            "Prefix" => {
                let prefix = Some(child.text.clone());
                let shape = FilterShape::RulePrefix;
                filter = Some(LifecycleFilter { shape, prefix, ..LifecycleFilter::default() });
            }
            "Filter" => filter = Some(parse_filter(child, dialect)?),
            "Expiration" => rule.expiration = Some(parse_expiration(child)?),
            "NoncurrentVersionExpiration" => rule.noncurrent = Some(parse_noncurrent(child)?),
            "AbortIncompleteMultipartUpload" => rule.abort_days = Some(parse_abort(child)?),
            "Transition" => rule.transitions.push(parse_transition(child)?),
            "NoncurrentVersionTransition" => {
                rule.noncurrent_transitions.push(parse_noncurrent_transition(child)?);
            }
            _ => return Err(malformed()),
        }
    }
    if rule.id.chars().count() > ID_CHARS_MAX {
        let message = format!("ID length should not exceed allowed limit of {ID_CHARS_MAX}");
        return Err(S3Error::invalid_argument("ID", rule.id, message));
    }
    if !has_id {
        rule.id = new_id();
    }
    rule.status = status.ok_or_else(malformed)?;
    rule.filter = filter.ok_or_else(malformed)?;
    check_rule(&rule)?;
    Ok(rule)
}

fn parse_status(element: &Element) -> S3Result<RuleStatus> {
    match element.text.trim() {
        "Enabled" => Ok(RuleStatus::Enabled),
        "Disabled" => Ok(RuleStatus::Disabled),
        _ => Err(malformed()),
    }
}

fn parse_filter(element: &Element, dialect: Dialect) -> S3Result<LifecycleFilter> {
    let is_and = |child: &&Element| child.name == "And";
    let (shape, conditions) = match element.children.as_slice() {
        [and] if is_and(&and) => (FilterShape::And, and.children.as_slice()),
        bare @ ([] | [_]) => (FilterShape::Plain, bare),
        bare if dialect.takes_bare_conditions() => {
            let and = bare.iter().find(is_and);
            (FilterShape::And, and.map_or(bare, |and| and.children.as_slice()))
        }
        _ => return Err(malformed()),
    };
    if shape == FilterShape::And && conditions.len() < 2 {
        return Err(malformed());
    }
    let mut filter = LifecycleFilter { shape, ..LifecycleFilter::default() };
    conditions.iter().try_for_each(|condition| add_condition(&mut filter, condition))?;
    check_filter(filter)
}

fn add_condition(filter: &mut LifecycleFilter, element: &Element) -> S3Result<()> {
    let once = |new: bool| if new { Ok(()) } else { Err(malformed()) };
    match element.name.as_str() {
        "Prefix" => once(filter.prefix.replace(element.text.clone()).is_none()),
        "ObjectSizeGreaterThan" => once(filter.longer_than_bytes.replace(size(element)?).is_none()),
        "ObjectSizeLessThan" => once(filter.shorter_than_bytes.replace(size(element)?).is_none()),
        "Tag" => {
            let tag = parse_tag(element)?;
            if filter.tags.iter().any(|(key, _)| *key == tag.0) {
                return Err(S3Error::invalid_request("Duplicate Tag Keys are not allowed."));
            }
            filter.tags.push(tag);
            Ok(())
        }
        _ => Err(malformed()),
    }
}

fn parse_tag(element: &Element) -> S3Result<Tag> {
    let set = Element { children: vec![element.clone()], ..Element::default() };
    tags::of_set(&set, 1)?.pop().ok_or_else(malformed)
}

fn size(element: &Element) -> S3Result<u64> {
    let bytes: u64 = element.text.trim().parse().map_err(|_| malformed())?;
    if bytes <= SIZE_MAX {
        return Ok(bytes);
    }
    Err(S3Error::invalid_request(format!("'{}' should be less than or equal to {SIZE_MAX}.", element.name)))
}

fn check_filter(filter: LifecycleFilter) -> S3Result<LifecycleFilter> {
    if let (Some(longer), Some(shorter)) = (filter.longer_than_bytes, filter.shorter_than_bytes)
        && longer >= shorter
    {
        return Err(S3Error::invalid_request(
            "'ObjectSizeGreaterThan' should be less than 'ObjectSizeLessThan'",
        ));
    }
    Ok(filter)
}

/// The children by name, each at most once and no others.
fn children<'e, const N: usize>(
    element: &'e Element,
    allowed: [&str; N],
) -> S3Result<[Option<&'e Element>; N]> {
    let mut found = [None; N];
    for child in &element.children {
        let place = allowed.iter().position(|name| *name == child.name);
        let slot = place.and_then(|place| found.get_mut(place)).ok_or_else(malformed)?;
        if slot.replace(child).is_some() {
            return Err(malformed());
        }
    }
    Ok(found)
}

/// A number of days from `least` on.
fn days(element: &Element, least: u32, action: &str) -> S3Result<u32> {
    let number: i64 = element.text.trim().parse().map_err(|_| malformed())?;
    match u32::try_from(number) {
        Ok(number) if (least..=DAYS_MAX).contains(&number) => Ok(number),
        _ => {
            let kind = if least == 0 { "nonnegative" } else { "positive" };
            let message = format!("'{}' for {action} action must be a {kind} integer", element.name);
            Err(S3Error::invalid_argument("Days", element.text.trim(), message))
        }
    }
}

fn date(element: &Element) -> S3Result<UnixMillis> {
    let text = element.text.trim();
    // Some clients send the day alone.
    let whole = if text.len() == "2017-09-27".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let date = parse_iso_millis(&whole).ok_or_else(malformed)?;
    if date.0.rem_euclid(DAY_MS) == 0 {
        return Ok(date);
    }
    Err(S3Error::invalid_argument("Date", text, "'Date' must be at midnight GMT"))
}

fn parse_expiration(element: &Element) -> S3Result<Expiration> {
    match children(element, ["Days", "Date", "ExpiredObjectDeleteMarker"])? {
        [Some(element), None, None] => Ok(Expiration::Days(days(element, 1, "Expiration")?)),
        [None, Some(element), None] => Ok(Expiration::Date(date(element)?)),
        [None, None, Some(markers)] => match markers.text.trim() {
            "true" => Ok(Expiration::Markers(true)),
            "false" => Ok(Expiration::Markers(false)),
            _ => Err(malformed()),
        },
        _ => Err(malformed()),
    }
}

fn newer(element: Option<&Element>) -> S3Result<Option<u32>> {
    let Some(element) = element else { return Ok(None) };
    let number: i64 = element.text.trim().parse().map_err(|_| malformed())?;
    match u32::try_from(number) {
        Ok(number) if (1..=NEWER_MAX).contains(&number) => Ok(Some(number)),
        _ => {
            let message = format!("'NewerNoncurrentVersions' must be a positive integer up to {NEWER_MAX}");
            Err(S3Error::invalid_argument("NewerNoncurrentVersions", element.text.trim(), message))
        }
    }
}

fn parse_noncurrent(element: &Element) -> S3Result<NoncurrentExpiration> {
    let [after, kept] = children(element, ["NoncurrentDays", "NewerNoncurrentVersions"])?;
    let days = days(after.ok_or_else(malformed)?, 1, "NoncurrentVersionExpiration")?;
    Ok(NoncurrentExpiration { days, newer: newer(kept)? })
}

fn parse_abort(element: &Element) -> S3Result<u32> {
    let [after] = children(element, ["DaysAfterInitiation"])?;
    days(after.ok_or_else(malformed)?, 1, "AbortIncompleteMultipartUpload")
}

fn class(element: Option<&Element>) -> S3Result<StorageClass> {
    let class = element.and_then(|element| StorageClass::parse(element.text.trim())).ok_or_else(malformed)?;
    match class {
        StorageClass::Standard | StorageClass::ReducedRedundancy => Err(malformed()),
        class => Ok(class),
    }
}

fn parse_transition(element: &Element) -> S3Result<Transition> {
    let [after, on, to] = children(element, ["Days", "Date", "StorageClass"])?;
    let class = class(to)?;
    let at = match (after, on) {
        (Some(element), None) => TransitionTime::Days(days(element, 0, "Transition")?),
        (None, Some(element)) => TransitionTime::Date(date(element)?),
        _ => return Err(malformed()),
    };
    Ok(Transition { at, class })
}

fn parse_noncurrent_transition(element: &Element) -> S3Result<NoncurrentTransition> {
    let allowed = ["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"];
    let [after, kept, to] = children(element, allowed)?;
    let class = class(to)?;
    let days = days(after.ok_or_else(malformed)?, 0, "NoncurrentVersionTransition")?;
    Ok(NoncurrentTransition { days, newer: newer(kept)?, class })
}

/// What only the rule as a whole tells.
fn check_rule(rule: &LifecycleRule) -> S3Result<()> {
    let acts = rule.expiration.is_some()
        || rule.noncurrent.is_some()
        || rule.abort_days.is_some()
        || !rule.transitions.is_empty()
        || !rule.noncurrent_transitions.is_empty();
    if !acts {
        return Err(S3Error::invalid_request("At least one action needs to be specified in a rule"));
    }
    let filter = &rule.filter;
    let keeps_newer = rule.noncurrent.is_some_and(|noncurrent| noncurrent.newer.is_some())
        || rule.noncurrent_transitions.iter().any(|transition| transition.newer.is_some());
    if keeps_newer && filter.shape == FilterShape::RulePrefix {
        return Err(S3Error::invalid_request("NewerNoncurrentVersions requires the rule to have a Filter"));
    }
    if !filter.tags.is_empty() && matches!(rule.expiration, Some(Expiration::Markers(_))) {
        return Err(S3Error::invalid_request("ExpiredObjectDeleteMarker cannot be specified with Tags."));
    }
    if rule.abort_days.is_some() {
        if !filter.tags.is_empty() {
            return Err(S3Error::invalid_request(
                "AbortIncompleteMultipartUpload cannot be specified with Tags.",
            ));
        }
        if filter.longer_than_bytes.is_some() || filter.shorter_than_bytes.is_some() {
            return Err(S3Error::invalid_request(
                "AbortIncompleteMultipartUpload cannot be specified with Object Size.",
            ));
        }
    }
    check_transitions(rule)
}

/// A step of a rule: to which class, and when.
type Step = (StorageClass, i64);

fn check_transitions(rule: &LifecycleRule) -> S3Result<()> {
    let prefix = rule.filter.prefix();
    let is_dated = |transition: &&Transition| matches!(transition.at, TransitionTime::Date(_));
    let dated = rule.transitions.iter().filter(is_dated).count();
    if dated > 0 && dated < rule.transitions.len() {
        return Err(S3Error::invalid_request(format!(
            "Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for prefix '{prefix}'"
        )));
    }
    let step = |transition: &Transition| match transition.at {
        TransitionTime::Days(days) => (transition.class, i64::from(days)),
        TransitionTime::Date(date) => (transition.class, date.0),
    };
    let steps: Vec<Step> = rule.transitions.iter().map(step).collect();
    check_steps(&steps, ("Transition", if dated > 0 { "Date" } else { "Days" }), prefix)?;
    let older = rule.noncurrent_transitions.iter();
    let steps: Vec<Step> = older.map(|transition| (transition.class, i64::from(transition.days))).collect();
    check_steps(&steps, ("NoncurrentVersionTransition", "NoncurrentDays"), prefix)?;
    check_expiry(rule, prefix)
}

/// Each class once, the colder ones later, and none of which an object could not leave the other.
fn check_steps(steps: &[Step], (action, time): (&str, &'static str), prefix: &str) -> S3Result<()> {
    for (index, (class, at)) in steps.iter().enumerate() {
        for (other, other_at) in steps.iter().take(index) {
            if class == other {
                return Err(S3Error::invalid_request(
                    "'StorageClass' must be different for 'Transition' actions in same 'Rule'",
                ));
            }
            let (cold, warm) = match (other.may_become(*class), class.may_become(*other)) {
                (true, _) if at <= other_at => (class, other),
                (_, true) if other_at <= at => (other, class),
                (false, false) => {
                    return Err(S3Error::invalid_request(format!(
                        "A rule for prefix '{prefix}' cannot have '{action}' actions for both StorageClass '{}' and StorageClass '{}'",
                        other.as_str(),
                        class.as_str()
                    )));
                }
                _ => continue,
            };
            let message = format!(
                "'{time}' in the '{action}' action for StorageClass '{}' for prefix '{prefix}' must be greater than \
                 '{time}' in the '{action}' action for StorageClass '{}'",
                cold.as_str(),
                warm.as_str()
            );
            return Err(S3Error::invalid_argument(time, "", message));
        }
    }
    Ok(())
}

fn check_expiry(rule: &LifecycleRule, prefix: &str) -> S3Result<()> {
    for transition in &rule.transitions {
        let later = match (transition.at, rule.expiration) {
            (TransitionTime::Days(move_days), Some(Expiration::Days(days))) => days > move_days,
            (TransitionTime::Date(move_date), Some(Expiration::Date(date))) => date > move_date,
            (TransitionTime::Days(_), Some(Expiration::Date(_)))
            | (TransitionTime::Date(_), Some(Expiration::Days(_))) => {
                return Err(S3Error::invalid_request(format!(
                    "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for prefix '{prefix}'"
                )));
            }
            _ => true,
        };
        if !later {
            let message = format!(
                "'Days' in the Expiration action for prefix '{prefix}' must be greater than 'Days' in the Transition action"
            );
            return Err(S3Error::invalid_argument("Days", "", message));
        }
    }
    for transition in &rule.noncurrent_transitions {
        if rule.noncurrent.is_some_and(|noncurrent| noncurrent.days <= transition.days) {
            let message = format!(
                "'NoncurrentDays' in the NoncurrentVersionExpiration action for prefix '{prefix}' must be greater \
                 than 'NoncurrentDays' in the NoncurrentVersionTransition action"
            );
            return Err(S3Error::invalid_argument("NoncurrentDays", "", message));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
