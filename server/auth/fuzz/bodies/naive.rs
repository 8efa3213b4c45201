//! A naive reading of policies, which works on the JSON as it is and tries everything. It knows what the tests that use
//! it write, and no more.

use granary_auth::policy::{Caller, Context, Grant, PolicyRequest, ResourceDecision};
use serde_json::Value;

/// The operators of conditions that it knows.
pub(crate) const OPERATORS: [&str; 9] = [
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "StringNotLikeIfExists",
    "StringEqualsIfExists",
    "ForAllValues:StringEquals",
    "ForAnyValue:StringLike",
    "ForAllValues:StringNotEquals",
    "ForAnyValue:StringNotEquals",
];

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(list) => list.iter().map(|one| one.as_str().unwrap()).collect(),
        one => vec![one.as_str().unwrap()],
    }
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => (0..=text.len()).any(|taken| glob(&pattern[1..], &text[taken..])),
        (Some(b'?'), Some(_)) => glob(&pattern[1..], &text[1..]),
        (Some(own), Some(letter)) => own == letter && glob(&pattern[1..], &text[1..]),
        _ => false,
    }
}

fn listed(statement: &Value, name: &str, text: &str) -> bool {
    let any = |value: &Value| texts(value).iter().any(|one| glob(one.as_bytes(), text.as_bytes()));
    match &statement[name] {
        Value::Null => !any(&statement[&format!("Not{name}")]),
        value => any(value),
    }
}

/// The grant that a list of principals is to the caller.
fn principal(value: &Value, caller: &Caller<'_>) -> Option<Grant> {
    if value == "*" {
        return Some(Grant::Anyone);
    }
    let Caller::User { account, canonical, arn } = caller else { return None };
    let grant = |name: &str| match name {
        name if name == *arn => Some(Grant::Caller),
        name if name == *account || name == *canonical => Some(Grant::Account),
        _ => None,
    };
    value.as_object().unwrap().values().flat_map(texts).filter_map(grant).max()
}

fn condition_holds(condition: &Value, context: &Context) -> bool {
    let (operator, keys) = condition.as_object().unwrap().iter().next().unwrap();
    let (key, wanted) = keys.as_object().unwrap().iter().next().unwrap();
    let (given, wanted) = (context.get(key), texts(wanted));
    let fits = |value: &String| {
        wanted.iter().any(|wanted| {
            if operator.contains("Like") {
                glob(wanted.as_bytes(), value.as_bytes())
            } else {
                value == wanted
            }
        })
    };
    let negated = operator.contains("Not");
    if operator.starts_with("ForAllValues") {
        return given.iter().all(|value| fits(value) != negated);
    }
    if operator.starts_with("ForAnyValue") {
        return given.iter().any(|value| fits(value) != negated);
    }
    if given.is_empty() {
        negated || operator.ends_with("IfExists")
    } else {
        given.iter().any(fits) != negated
    }
}

/// What the policy of a bucket says of a request.
pub(crate) fn decide(policy: &Value, caller: &Caller<'_>, request: &PolicyRequest<'_>) -> ResourceDecision {
    let grants: Vec<(bool, Grant)> = policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|statement| {
            let grant = match &statement["NotPrincipal"] {
                Value::Null => principal(&statement["Principal"], caller)?,
                but if principal(but, caller).is_some_and(|grant| grant != Grant::Account) => return None,
                _ => Grant::Anyone,
            };
            let applies = listed(statement, "Action", request.action)
                && listed(statement, "Resource", request.resource)
                && (statement["Condition"].is_null()
                    || condition_holds(&statement["Condition"], request.context));
            applies.then_some((statement["Effect"] == "Deny", grant))
        })
        .collect();
    if grants.iter().any(|(deny, _)| *deny) {
        return ResourceDecision::ExplicitDeny;
    }
    match grants.iter().map(|(_, grant)| *grant).max() {
        Some(grant) => ResourceDecision::Allow(grant),
        None => ResourceDecision::ImplicitDeny,
    }
}
