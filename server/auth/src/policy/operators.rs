//! The names of the condition operators.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

/// Whether the condition holds when the comparison does, or when it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    Positive,
    Negated,
}

/// How numbers and dates are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    /// Whether the request's value stands so to the policy's.
    pub(super) fn holds<T: Ord>(self, given: &T, wanted: &T) -> bool {
        match self {
            Self::Equal => given == wanted,
            Self::Less => given < wanted,
            Self::LessOrEqual => given <= wanted,
            Self::Greater => given > wanted,
            Self::GreaterOrEqual => given >= wanted,
        }
    }
}

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Text,
    TextIgnoringCase,
    TextLike,
    Number(Order),
    Date(Order),
    Boolean,
    Binary,
    Address,
    Arn,
    Null,
}

/// How the values of a key that has several are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// The key has one value.
    None,
    ForAllValues,
    ForAnyValue,
}

/// What becomes of a condition whose key is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// A comparison fails, and a negated one therefore holds.
    Compared,
    /// The condition holds (`…IfExists`).
    Holds,
}

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) comparison: Comparison,
    pub(super) sense: Sense,
    pub(super) quantifier: Quantifier,
    pub(super) absent: Absent,
}

impl Operator {
    /// The operator of a name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (quantifier, name) = match name.split_once(':') {
            None => (Quantifier::None, name),
            Some(("ForAllValues", name)) => (Quantifier::ForAllValues, name),
            Some(("ForAnyValue", name)) => (Quantifier::ForAnyValue, name),
            Some(_) => return None,
        };
        let (name, absent) = match name.strip_suffix("IfExists") {
            Some(name) => (name, Absent::Holds),
            None => (name, Absent::Compared),
        };
        let (comparison, sense) = comparison(name)?;
        // Whether a key is there is no question about its values.
        let plain = quantifier == Quantifier::None && absent == Absent::Compared;
        (comparison != Comparison::Null || plain).then_some(Self { comparison, sense, quantifier, absent })
    }
}

fn comparison(name: &str) -> Option<(Comparison, Sense)> {
    use Comparison::{Address, Arn, Binary, Boolean, Null, Text, TextIgnoringCase, TextLike};
    use Sense::{Negated, Positive};
    Some(match name {
        "StringEquals" => (Text, Positive),
        "StringNotEquals" => (Text, Negated),
        "StringEqualsIgnoreCase" => (TextIgnoringCase, Positive),
        "StringNotEqualsIgnoreCase" => (TextIgnoringCase, Negated),
        "StringLike" => (TextLike, Positive),
        "StringNotLike" => (TextLike, Negated),
        "Bool" => (Boolean, Positive),
        "BinaryEquals" => (Binary, Positive),
        "IpAddress" => (Address, Positive),
        "NotIpAddress" => (Address, Negated),
        "ArnEquals" | "ArnLike" => (Arn, Positive),
        "ArnNotEquals" | "ArnNotLike" => (Arn, Negated),
        "Null" => (Null, Positive),
        _ => return ordered(name),
    })
}

fn ordered(name: &str) -> Option<(Comparison, Sense)> {
    let (kind, order): (fn(Order) -> Comparison, &str) = match name.strip_prefix("Numeric") {
        Some(order) => (Comparison::Number, order),
        None => (Comparison::Date, name.strip_prefix("Date")?),
    };
    let (order, sense) = match order {
        "Equals" => (Order::Equal, Sense::Positive),
        "NotEquals" => (Order::Equal, Sense::Negated),
        "LessThan" => (Order::Less, Sense::Positive),
        "LessThanEquals" => (Order::LessOrEqual, Sense::Positive),
        "GreaterThan" => (Order::Greater, Sense::Positive),
        "GreaterThanEquals" => (Order::GreaterOrEqual, Sense::Positive),
        _ => return None,
    };
    Some((kind(order), sense))
}
