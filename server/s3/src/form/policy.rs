//! The policy of a browser's form: what its sender may upload.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use granary_types::UnixMillis;
use serde_json::Value;

use super::fields::{Fields, SignatureVersion};
use crate::dates::parse_iso_millis;
use crate::error::{ErrorCode, S3Error, S3Result};

const RANGE: &str = "content-length-range";

/// A policy document, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    expires: UnixMillis,
    conditions: Vec<Condition>,
    /// How long the file may be.
    pub file_bytes: (u64, u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    matching: Matching,
    /// The field, in lower case.
    field: String,
    value: String,
    /// As the policy has it, for the refusal.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matching {
    Exactly,
    StartsWith,
}

impl Policy {
    /// Reads the `policy` field of a form.
    ///
    /// # Errors
    /// `InvalidPolicyDocument`.
    pub fn parse(field: &str) -> S3Result<Self> {
        let document = BASE64.decode(field.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let document = document.ok_or_else(|| invalid("Invalid Policy: Invalid Base64 encoding."))?;
        let document: Value = serde_json::from_str(&strict_json(&document))
            .map_err(|error| invalid("Invalid Policy: Invalid JSON.").because(error))?;
        let Value::Object(members) = document else { return Err(invalid("Invalid Policy: Invalid JSON.")) };
        if let Some(unknown) =
            members.keys().find(|name| !matches!(name.as_str(), "expiration" | "conditions"))
        {
            return Err(invalid(format!("Invalid Policy: Unexpected: '{unknown}'")));
        }
        let expires = match members.get("expiration") {
            None => return Err(invalid("Invalid Policy: Policy missing expiration.")),
            Some(value) => value.as_str().and_then(parse_expiration).ok_or_else(|| {
                invalid(format!("Invalid Policy: Invalid 'expiration' value: '{}'", shown(value)))
            })?,
        };
        let Some(conditions) = members.get("conditions") else {
            return Err(invalid("Invalid Policy: Policy missing conditions."));
        };
        let conditions = conditions
            .as_array()
            .ok_or_else(|| invalid("Invalid Policy: Invalid 'conditions' value: must be a List."))?;
        let mut policy = Self { expires, conditions: Vec::new(), file_bytes: (0, u64::MAX) };
        for condition in conditions {
            policy.add(condition)?;
        }
        Ok(policy)
    }

    fn add(&mut self, condition: &Value) -> S3Result<()> {
        let wrong = || invalid(format!("Invalid Policy: Invalid Simple-Condition: {condition}"));
        match condition {
            Value::Object(members) => {
                let mut members = members.iter();
                let (Some((field, value)), None) = (members.next(), members.next()) else {
                    return Err(invalid(
                        "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
                    ));
                };
                let value = scalar(value).ok_or_else(wrong)?;
                let text = format!("[\"eq\", \"${field}\", \"{value}\"]");
                self.push(Matching::Exactly, field, value, text);
            }
            Value::Array(items) => {
                let [operator, first, second] = items.as_slice() else { return Err(wrong()) };
                let operator = operator.as_str().ok_or_else(wrong)?.to_ascii_lowercase();
                if operator == RANGE {
                    return self.restrict(first, second, wrong);
                }
                let matching = match operator.as_str() {
                    "eq" => Matching::Exactly,
                    "starts-with" => Matching::StartsWith,
                    _ => return Err(wrong()),
                };
                let field = first.as_str().and_then(|field| field.strip_prefix('$')).ok_or_else(wrong)?;
                let value = scalar(second).ok_or_else(wrong)?;
                let text = format!("[\"{operator}\", \"${field}\", \"{value}\"]");
                self.push(matching, field, value, text);
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    fn push(&mut self, matching: Matching, field: &str, value: String, text: String) {
        self.conditions.push(Condition { matching, field: field.to_ascii_lowercase(), value, text });
    }

    /// Several ranges all hold.
    fn restrict(&mut self, least: &Value, most: &Value, wrong: impl Fn() -> S3Error) -> S3Result<()> {
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let (Some(least), Some(most)) = (number(least), number(most)) else { return Err(wrong()) };
        if least > most {
            return Err(wrong());
        }
        self.file_bytes = (self.file_bytes.0.max(least), self.file_bytes.1.min(most));
        Ok(())
    }

    /// Checks that the form is what the policy allows, at the time `now`. `fields` holds the bucket too.
    ///
    /// # Errors
    /// `AccessDenied`, saying what does not hold.
    pub fn check(&self, fields: &Fields, version: SignatureVersion, now: UnixMillis) -> S3Result<()> {
        if now >= self.expires {
            return Err(denied("Policy expired."));
        }
        if let Some(failed) = self.conditions.iter().find(|condition| !condition.holds(fields)) {
            return Err(denied(format_args!("Policy Condition failed: {}", failed.text)));
        }
        let is_covered = |name: &str| self.conditions.iter().any(|condition| condition.field == name);
        let extra: Vec<&str> =
            fields.names().filter(|name| !version.leaves_out(name) && !is_covered(name)).collect();
        if extra.is_empty() {
            return Ok(());
        }
        Err(denied(format_args!("Extra input fields: {}", extra.join(", "))))
    }
}

impl Condition {
    fn holds(&self, fields: &Fields) -> bool {
        // A field that was not sent is an empty one.
        let sent = fields.get(&self.field).unwrap_or_default();
        match self.matching {
            Matching::Exactly => sent == self.value,
            // The one field that may be a list, of which each member must match.
            Matching::StartsWith if self.field == "content-type" => {
                sent.split(',').all(|member| member.trim_start().starts_with(&self.value))
            }
            Matching::StartsWith => sent.starts_with(&self.value),
        }
    }
}

/// ISO 8601 in UTC and in no looser form.
fn parse_expiration(text: &str) -> Option<UnixMillis> {
    let is_strict = text.as_bytes().get(10) == Some(&b'T') && text.ends_with('Z');
    parse_iso_millis(text).filter(|_| is_strict)
}

/// A value as text: some write numbers and truth values without quotes.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn shown(value: &Value) -> String {
    scalar(value).unwrap_or_else(|| value.to_string())
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(ErrorCode::InvalidPolicyDocument, message)
}

fn denied(reason: impl std::fmt::Display) -> S3Error {
    S3Error::with_message(ErrorCode::AccessDenied, format!("Invalid according to Policy: {reason}"))
}

/// The document in strict JSON. AWS's own examples have commas behind the last member, and its escapes are those of
/// JavaScript and a dollar sign.
fn strict_json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    let mut in_text = false;
    let mut characters = document.chars().peekable();
    while let Some(character) = characters.next() {
        match (in_text, character) {
            (true, '\\') => match characters.next() {
                Some('$') => out.push('$'),
                Some('v') => out.push_str("\\u000b"),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            (_, '"') => {
                in_text = !in_text;
                out.push('"');
            }
            (false, ',') => {
                let rest = characters.clone();
                let next = rest.into_iter().find(|character| !character.is_ascii_whitespace());
                if !matches!(next, Some(']' | '}')) {
                    out.push(',');
                }
            }
            (_, other) => out.push(other),
        }
    }
    out
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
