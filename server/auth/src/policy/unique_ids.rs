//! Unique ids in the place of the ARNs of users and roles.
//!
//! AWS keeps the policy of a bucket or a role with the unique ids of the users and roles that it names as principals, and shows it
//! with the ARNs that these have then. So whoever gets the name of somebody who is gone gets nothing by it, and nobody gets out of a
//! denial by another name. What else a policy says, conditions and resources with ARNs among it, is kept as it was written.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>

use std::borrow::Cow;
use std::convert::Infallible;
use std::ops::Range;

use super::principal::{is_identity, is_unique_id};

/// Who has the ARN of a user or a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// The one with this unique id.
    Id(String),
    /// Nobody: its account has no such user or role.
    Nobody,
    /// It cannot be told, as the account is not known here.
    Unknown,
}

/// A policy names a user or a role that its account does not have. `Display` is IAM's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid principal in policy: \"AWS\":\"{0}\"")]
pub struct NoSuchPrincipal(
    /// The ARN.
    pub String,
);

/// A policy as it is kept: with the unique ids of the users and roles that are its principals. ARNs of which it cannot be told whose
/// they are stay, and so do those of sessions, which have no ids of their own.
///
/// # Errors
/// A user or role that is not there: whoever gets its name later must get nothing by it.
pub fn with_unique_ids(text: &str, named: impl Fn(&str) -> Named) -> Result<Cow<'_, str>, NoSuchPrincipal> {
    replaced(text, |principal| {
        if !is_identity(principal) {
            return Ok(None);
        }
        match named(principal) {
            Named::Id(id) => Ok(Some(id)),
            Named::Nobody => Err(NoSuchPrincipal(principal.to_owned())),
            Named::Unknown => Ok(None),
        }
    })
}

/// A policy as it is shown: with the ARNs that the users and roles have now whose unique ids are its principals. The ids of those that
/// are gone, for which `arn` knows none, stay.
#[must_use]
pub fn with_current_arns(text: &str, arn: impl Fn(&str) -> Option<String>) -> Cow<'_, str> {
    let current =
        |principal: &str| Ok::<_, Infallible>(is_unique_id(principal).then(|| arn(principal)).flatten());
    let Ok(shown) = replaced(text, current);
    shown
}

/// A policy with something else in the place of those principals for which `instead` has it.
fn replaced<E>(text: &str, instead: impl Fn(&str) -> Result<Option<String>, E>) -> Result<Cow<'_, str>, E> {
    let (mut done, mut until) = (String::new(), 0);
    for place in principals(text) {
        let Some(principal) = string_at(text, &place) else { continue };
        let Some(other) = instead(&principal)? else { continue };
        done.push_str(text.get(until..place.start).unwrap_or_default());
        done.push_str(&serde_json::Value::String(other).to_string());
        until = place.end;
    }
    if until == 0 {
        return Ok(Cow::Borrowed(text));
    }
    done.push_str(text.get(until..).unwrap_or_default());
    Ok(Cow::Owned(done))
}

/// Where a policy has the strings, with their quotes, that are principals of AWS's. Of what is no JSON it finds some places or none.
fn principals(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // The last name of a member in each object that encloses the place.
    let mut names: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(skipped) = text.get(at..).and_then(|rest| rest.find(['"', '{', '}'])) {
        let start = at + skipped;
        let rest = text.get(start..).unwrap_or_default();
        at = start + 1;
        match rest.as_bytes().first() {
            Some(b'{') => names.push(String::new()),
            Some(b'}') => drop(names.pop()),
            _ => {
                at = start + string_bytes(rest);
                let is_name = text.get(at..).is_some_and(|rest| rest.trim_ascii_start().starts_with(':'));
                if !is_name {
                    found.extend(is_principal(&names).then_some(start..at));
                } else if let Some(name) = names.last_mut() {
                    *name = string_at(text, &(start..at)).unwrap_or_default();
                }
            }
        }
    }
    found
}

/// Whether the values of a member are principals of AWS's, by its own name and those of the members that it is in.
fn is_principal(names: &[String]) -> bool {
    let [statement, principal, kind] = names else { return false };
    statement == "Statement" && ["Principal", "NotPrincipal"].contains(&principal.as_str()) && kind == "AWS"
}

/// How long the string is that a text begins with, with its quotes.
fn string_bytes(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !is_escaped => return at + 1,
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

fn string_at(text: &str, place: &Range<usize>) -> Option<String> {
    serde_json::from_str(text.get(place.clone())?).ok()
}

#[cfg(test)]
#[path = "unique_ids_tests.rs"]
mod tests;
