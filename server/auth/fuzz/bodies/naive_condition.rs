//! A naive reading of conditions: the operators that AWS documents, each in the words of its documentation, and nothing
//! of how the evaluator does it. Values are those that the tests write, so what no policy may say panics.
//!
//! Sources: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_multi-value-conditions.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>

use std::net::IpAddr;

use granary_auth::policy::Context;
use serde_json::Value;

// What wildcards are, and colons that came with a variable's value, until they are compared. No value has these.
const ANY: char = '\u{1}';
const ONE: char = '\u{2}';
const COLON: char = '\u{3}';

/// Whether all that a statement's conditions ask is so: every operator, and every key of each.
pub(crate) fn hold(conditions: &Value, variables: Option<&Context>, context: &Context) -> bool {
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    members(conditions).iter().all(|(operator, keys)| {
        members(keys)
            .iter()
            .all(|(key, wanted)| holds(operator, context.get(key), &scalars(wanted), variables))
    })
}

/// One value or several. Numbers and booleans may be written without quotes.
fn scalars(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(scalars).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

fn holds(operator: &str, given: &[String], wanted: &[String], variables: Option<&Context>) -> bool {
    if operator == "Null" {
        return given.is_empty() == (wanted[0] == "true");
    }
    let (set, name) = operator.split_once(':').unwrap_or(("", operator));
    let name = match name.strip_suffix("IfExists") {
        Some(_) if given.is_empty() => return true,
        Some(name) => name,
        None => name,
    };
    let positive = name.replace("Not", "");
    let negated = positive != name;
    let fits = |given: &String| {
        wanted.iter().any(|wanted| compare(&positive, given, wanted, variables) == Some(true))
    };
    match set {
        "ForAllValues" => given.iter().all(|given| fits(given) != negated),
        "ForAnyValue" => given.iter().any(|given| fits(given) != negated),
        _ => given.iter().any(fits) != negated,
    }
}

/// Compares one value with one; none if one of them cannot be.
fn compare(operator: &str, given: &str, wanted: &str, variables: Option<&Context>) -> Option<bool> {
    if let Some(order) = operator.strip_prefix("Numeric") {
        return Some(ordered(order, number(given)?, number(wanted)?));
    }
    if let Some(order) = operator.strip_prefix("Date") {
        return Some(ordered(order, date(given)?, date(wanted)?));
    }
    let pattern = || resolved(wanted, variables);
    let text = || Some(pattern()?.replace(ANY, "*").replace(ONE, "?").replace(COLON, ":"));
    Some(match operator {
        "StringEquals" => given == text()?,
        "StringEqualsIgnoreCase" => given.to_lowercase() == text()?.to_lowercase(),
        "StringLike" => like(&pattern()?, given),
        "ArnEquals" | "ArnLike" => is_arn_like(&pattern()?, given),
        "Bool" => given.to_lowercase() == wanted.to_lowercase(),
        // Bytes have one base64 only.
        "BinaryEquals" => given == wanted,
        "IpAddress" => is_within(given.parse().ok()?, wanted),
        other => panic!("{other} is no operator"),
    })
}

/// Whether the whole text is like a pattern that may have wildcards and variables.
pub(crate) fn is_like(pattern: &str, text: &str, variables: Option<&Context>) -> bool {
    resolved(pattern, variables).is_some_and(|pattern| like(&pattern, text))
}

/// The pattern with wildcards marked and variables replaced by their values; none if one has no value.
fn resolved(pattern: &str, variables: Option<&Context>) -> Option<String> {
    let marked = pattern.replace('*', &ANY.to_string()).replace('?', &ONE.to_string());
    let Some(context) = variables else { return Some(marked) };
    let mut parts = marked.split("${");
    let mut done = parts.next().unwrap().to_owned();
    for part in parts {
        let (variable, behind) = part.split_once('}').unwrap();
        let (key, default) = match variable.split_once(", ") {
            Some((key, quoted)) => (key, Some(quoted.trim_matches('\'').to_owned())),
            None => (variable, None),
        };
        let value = match (key, context.get(key)) {
            ("\u{1}", _) => "*".to_owned(),
            ("\u{2}", _) => "?".to_owned(),
            ("$", _) => "$".to_owned(),
            (_, [value]) => value.clone(),
            _ => default?,
        };
        done += &value.replace(':', &COLON.to_string());
        done += behind;
    }
    Some(done)
}

fn like(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    let mut letters = text.chars();
    match (first, letters.next()) {
        (ANY, None) => like(rest, text),
        (ANY, Some(_)) => like(rest, text) || like(pattern, letters.as_str()),
        (ONE, Some(_)) => like(rest, letters.as_str()),
        (COLON, Some(letter)) => letter == ':' && like(rest, letters.as_str()),
        (own, Some(letter)) => letter == own && like(rest, letters.as_str()),
        (_, None) => false,
    }
}

/// Each of the six components is checked separately; `*` alone is all of them.
fn is_arn_like(pattern: &str, given: &str) -> bool {
    let six = vec![ANY.to_string(); 6].join(":");
    let pattern = if pattern.chars().eq([ANY]) { &six } else { pattern };
    let given: Vec<&str> = given.splitn(6, ':').collect();
    let mut pairs = pattern.splitn(6, ':').zip(&given);
    given.len() == 6 && pairs.all(|(pattern, given)| like(pattern, given))
}

fn ordered(order: &str, given: f64, wanted: f64) -> bool {
    match order {
        "Equals" => given == wanted,
        "LessThan" => given < wanted,
        "LessThanEquals" => given <= wanted,
        "GreaterThan" => given > wanted,
        "GreaterThanEquals" => given >= wanted,
        other => panic!("{other} is no order"),
    }
}

/// An integer or a decimal.
fn number(text: &str) -> Option<f64> {
    text.chars().all(|letter| "+-.0123456789".contains(letter)).then(|| text.parse().ok())?
}

/// Seconds since 1970, from any of the W3C's forms of ISO 8601 but a year alone, which is seconds as well as these.
fn date(text: &str) -> Option<f64> {
    if let Some(seconds) = number(text).filter(|_| !text.contains('.')) {
        return Some(seconds);
    }
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00Z"));
    let (clock, zone) = time.split_at(time.find(['Z', '+', '-'])?);
    let fields = |text: &str, by| text.split(by).map(number).collect::<Option<Vec<f64>>>();
    let east = if zone.starts_with('-') { -1.0 } else { 1.0 };
    let zone = if zone == "Z" { "+00:00" } else { zone };
    let (clock, zone) = (fields(clock, ':')?, fields(&zone[1..], ':')?);
    let seconds = |fields: &[f64]| {
        fields.iter().zip([3600.0, 60.0, 1.0]).map(|(field, unit)| field * unit).sum::<f64>()
    };
    Some(days(&fields(day, '-')?)? * 86400.0 + seconds(&clock) - east * seconds(&zone))
}

/// Days from 1970 until that day, counted year by year and month by month.
fn days(date: &[f64]) -> Option<f64> {
    let &[year, month, ref day @ ..] = date else { return None };
    let is_leap = |year: f64| year % 4.0 == 0.0 && (year % 100.0 != 0.0 || year % 400.0 == 0.0);
    let days_of_year = |year| if is_leap(year) { 366.0 } else { 365.0 };
    let february = days_of_year(year) - 337.0;
    let months = [31.0, february, 31.0, 30.0, 31.0, 30.0, 31.0, 31.0, 30.0, 31.0, 30.0, 31.0];
    let before = months.iter().zip(1_u8..).filter(|(_, number)| f64::from(*number) < month);
    let mut days = before.map(|(length, _)| length).sum::<f64>() + day.first().unwrap_or(&1.0) - 1.0;
    let mut at = 1970.0;
    while at < year {
        days += days_of_year(at);
        at += 1.0;
    }
    while at > year {
        at -= 1.0;
        days -= days_of_year(at);
    }
    Some(days)
}

/// Whether an address begins with the bits of a network. One of IPv4 that came in IPv6 is of IPv4.
fn is_within(address: IpAddr, network: &str) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => format!("{:032b}", u32::from(address)),
        IpAddr::V6(address) => format!("{:0128b}", u128::from(address)),
    };
    let (own, length) = network.split_once('/').unwrap_or((network, "128"));
    let (own, address) = (bits(own.parse().unwrap()), bits(address.to_canonical()));
    let length = own.len().min(length.parse().unwrap());
    own.len() == address.len() && address.starts_with(&own[..length])
}
