//! Whether a bucket's policy is public.
//!
//! Source: "The meaning of public",
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>

use super::condition::{Condition, Wanted};
use super::operators::{Absent, Comparison, Operator, Quantifier, Sense};
use super::pattern::Pattern;
use super::principal::PrincipalPattern;
use super::{Effect, Listed, Policy, Statement};

/// The keys whose fixed values make a grant to everyone one to somebody.
const FIXING_KEYS: [&str; 13] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

impl Policy {
    /// Whether it lets anybody in who cannot be told beforehand.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(Statement::is_public)
    }
}

impl Statement {
    fn is_public(&self) -> bool {
        let to_anyone = match &self.principals {
            Some(Listed::Only(list)) => list.contains(&PrincipalPattern::Anyone),
            Some(Listed::AllBut(_)) => true,
            None => false,
        };
        self.effect == Effect::Allow && to_anyone && !self.conditions.iter().any(fixes)
    }
}

/// Whether a condition holds for requests from certain places or people only.
fn fixes(condition: &Condition) -> bool {
    let Operator { comparison, sense, quantifier, absent } = condition.operator;
    let compares = matches!(
        comparison,
        Comparison::Text
            | Comparison::TextIgnoringCase
            | Comparison::TextLike
            | Comparison::Arn
            | Comparison::Address
    );
    // `ForAllValues` and `IfExists` hold where the key is missing.
    let needs_the_key = absent == Absent::Compared && quantifier != Quantifier::ForAllValues;
    compares
        && sense == Sense::Positive
        && needs_the_key
        && FIXING_KEYS.contains(&condition.key.as_str())
        && condition.wanted.iter().all(|wanted| is_fixed(&condition.key, comparison, wanted))
}

fn is_fixed(key: &str, comparison: Comparison, wanted: &Wanted) -> bool {
    match wanted {
        // The id of a role stands before the colon, the name of its session, which anyone may choose, behind it.
        Wanted::Text(pattern, _) if key == "aws:userid" => {
            pattern.fixed_start().contains(':') || pattern.is_fixed()
        }
        Wanted::Text(pattern, _) => {
            pattern.is_fixed() && !(comparison == Comparison::TextLike && pattern.fixed_start().is_empty())
        }
        // The account, the partition and the service tell whose it is; the rest may be open.
        Wanted::Arn(parts) => {
            let [_, _, _, _, account, resource] = &**parts;
            let named = |part: &Pattern| part.is_fixed() && !part.fixed_start().is_empty();
            named(account) || named(resource)
        }
        Wanted::Network(network) if network.is_ipv4() => network.bits >= 8,
        Wanted::Network(network) => network.bits >= 32,
        _ => false,
    }
}
