//! Names of accounts in the place of their numbers.
//!
//! AWS names an account by 12 digits, and has no names for them that a policy could use. Here the operator gives each account
//! one. A policy with such a name is kept with the number, as AWS keeps policies by the ids of whom they name: an account that
//! gets the name later gets nothing by it.

use std::borrow::Cow;

use super::principal::is_account;

/// How the ARN of an identity begins that is a whole string of a document, up to its account.
const BEGINNING: &str = "\"arn:aws:iam::";

/// A policy with the numbers of accounts where the ARNs of identities have names that `number` knows. What else it says
/// is left as it is, and other names are, so that reading the policy refuses them.
#[must_use]
pub fn with_account_numbers(text: &str, number: impl Fn(&str) -> Option<String>) -> Cow<'_, str> {
    let (mut done, mut rest) = (String::new(), text);
    let mut found = false;
    while let Some((before, arn)) = rest.split_once(BEGINNING) {
        done.push_str(before);
        done.push_str(BEGINNING);
        rest = arn;
        let Some((name, identity)) = arn.split_once(':') else { break };
        if is_account(name) || !is_identity(identity) {
            continue;
        }
        if let Some(number) = number(name) {
            done.push_str(&number);
            done.push(':');
            rest = identity;
            found = true;
        }
    }
    if !found {
        return Cow::Borrowed(text);
    }
    done.push_str(rest);
    Cow::Owned(done)
}

/// Whether an ARN ends as that of an account's root user, a user or a role; those of policies may have `aws` for an account.
fn is_identity(end: &str) -> bool {
    ["root\"", "user/", "role/"].iter().any(|start| end.starts_with(start))
}

#[cfg(test)]
#[path = "account_names_tests.rs"]
mod tests;
