//! A naive reading of policies, which works on the JSON as it is and tries everything. It knows what the tests that use
//! it write, and no more.

use granary_auth::policy::{Caller, Context, Grant, PolicyRequest, ResourceDecision};
use serde_json::Value;

#[path = "naive_condition.rs"]
mod condition;

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(list) => list.iter().map(|one| one.as_str().unwrap()).collect(),
        one => vec![one.as_str().unwrap()],
    }
}

/// Whether an element lists the text, or its opposite does not.
fn listed(statement: &Value, name: &str, text: &str, variables: Option<&Context>) -> bool {
    let any = |value: &Value| texts(value).iter().any(|one| condition::is_like(one, text, variables));
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
    let Caller::User { account, canonical, arn, id } = caller else { return None };
    let grant = |name: &str| match name {
        name if name == *arn || name == *id => Some(Grant::Caller),
        name if name == *account || name == *canonical => Some(Grant::Account),
        _ => None,
    };
    value.as_object().unwrap().values().flat_map(texts).filter_map(grant).max()
}

/// What the policy of a bucket says of a request.
pub(crate) fn decide(policy: &Value, caller: &Caller<'_>, request: &PolicyRequest<'_>) -> ResourceDecision {
    // The older version of the language has no variables.
    let variables = (policy["Version"] == "2012-10-17").then_some(request.context);
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
            let applies = listed(statement, "Action", request.action, None)
                && listed(statement, "Resource", request.resource, variables)
                && condition::hold(&statement["Condition"], variables, request.context);
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
