//! One condition: an operator, a key and the values that the key's are compared with.

use std::net::IpAddr;

use super::Effect;
use super::context::Context;
use super::error::PolicyError;
use super::operators::{Absent, Comparison, Operator, Order, Quantifier, Sense};
use super::pattern::{Case, Pattern, Syntax};
use super::values::{self, Network};

/// A condition. All of a statement's must hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    /// In lower case.
    pub(super) key: String,
    pub(super) operator: Operator,
    pub(super) wanted: Vec<Wanted>,
}

/// A value that the policy lists.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Text(Pattern, Case),
    /// The six parts of an ARN.
    Arn(Box<[Pattern; 6]>),
    Number(Order, i128),
    /// In milliseconds since 1970.
    Date(Order, i64),
    Boolean(bool),
    Binary(Vec<u8>),
    Network(Network),
    /// Whether the key must be missing.
    Missing(bool),
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// `InvalidOperator`, and `InvalidValue` for a value that the operator cannot compare.
    pub(super) fn parse(
        operator_name: &str,
        key: &str,
        texts: &[&str],
        variables: bool,
    ) -> Result<Self, PolicyError> {
        let operator = Operator::parse(operator_name)
            .ok_or_else(|| PolicyError::InvalidOperator(operator_name.to_owned()))?;
        let invalid = |text: &str| PolicyError::InvalidValue {
            operator: operator_name.to_owned(),
            value: text.to_owned(),
        };
        if texts.is_empty() || operator.comparison == Comparison::Null && texts.len() > 1 {
            return Err(invalid(""));
        }
        let wanted = |text: &&str| Wanted::parse(operator.comparison, text, variables).ok_or(invalid(text));
        let wanted = texts.iter().map(wanted).collect::<Result<_, _>>()?;
        Ok(Self { key: key.to_ascii_lowercase(), operator, wanted })
    }

    /// Whether the request meets it, for a statement of that effect: what is not clear lets nothing pass.
    pub(super) fn holds(&self, context: &Context, effect: Effect) -> bool {
        let given = context.get(&self.key);
        let operator = self.operator;
        if operator.comparison == Comparison::Null {
            return self.wanted.contains(&Wanted::Missing(given.is_empty()));
        }
        if self.asks_for(&|key| context.is_unclear(key)) {
            return effect == Effect::Deny;
        }
        if given.is_empty() {
            return match (operator.absent, operator.quantifier) {
                (Absent::Holds, _) | (_, Quantifier::ForAllValues) => true,
                (_, Quantifier::ForAnyValue) => false,
                (Absent::Compared, Quantifier::None) => operator.sense == Sense::Negated,
            };
        }
        let fits = |value: &String| self.wanted.iter().any(|wanted| wanted.fits(value, context));
        let meets = |value: &String| fits(value) == (operator.sense == Sense::Positive);
        match (operator.quantifier, operator.sense) {
            (Quantifier::ForAllValues, _) | (Quantifier::None, Sense::Negated) => given.iter().all(meets),
            (Quantifier::ForAnyValue, _) | (Quantifier::None, Sense::Positive) => given.iter().any(meets),
        }
    }
}

impl Wanted {
    fn parse(comparison: Comparison, text: &str, variables: bool) -> Option<Self> {
        let (plain, like) =
            if variables { (Syntax::Variables, Syntax::Both) } else { (Syntax::Plain, Syntax::Wildcards) };
        Some(match comparison {
            Comparison::Text => Self::Text(Pattern::compile(text, plain)?, Case::Sensitive),
            Comparison::TextIgnoringCase => Self::Text(Pattern::compile(text, plain)?, Case::Insensitive),
            Comparison::TextLike => Self::Text(Pattern::compile(text, like)?, Case::Sensitive),
            Comparison::Arn if text == "*" => {
                let any = || Pattern::compile("*", Syntax::Wildcards);
                Self::Arn(Box::new([any()?, any()?, any()?, any()?, any()?, any()?]))
            }
            Comparison::Arn => Self::Arn(Box::new(Pattern::compile(text, like)?.arn_parts()?)),
            Comparison::Number(order) => Self::Number(order, values::number(text)?),
            Comparison::Date(order) => Self::Date(order, values::date(text)?),
            Comparison::Boolean => Self::Boolean(values::boolean(text)?),
            Comparison::Binary => Self::Binary(values::binary(text)?),
            Comparison::Address => Self::Network(Network::parse(text)?),
            Comparison::Null => Self::Missing(values::boolean(text)?),
        })
    }

    /// Whether a value of the request fits. A value that is not of the kind fits nothing.
    fn fits(&self, given: &str, context: &Context) -> bool {
        match self {
            Self::Text(pattern, case) => pattern.matches(given, context, *case),
            Self::Arn(parts) => {
                let given: Vec<&str> = given.splitn(6, ':').collect();
                let pairs = || parts.iter().zip(&given);
                given.len() == parts.len()
                    && pairs().all(|(part, given)| part.matches(given, context, Case::Sensitive))
            }
            Self::Number(order, wanted) => {
                values::number(given).is_some_and(|given| order.holds(&given, wanted))
            }
            Self::Date(order, wanted) => values::date(given).is_some_and(|given| order.holds(&given, wanted)),
            Self::Boolean(wanted) => values::boolean(given) == Some(*wanted),
            Self::Binary(wanted) => values::binary(given).is_some_and(|given| given == *wanted),
            Self::Network(network) => given.parse::<IpAddr>().is_ok_and(|address| network.contains(address)),
            Self::Missing(_) => false,
        }
    }
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
