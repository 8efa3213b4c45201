//! Which condition keys a policy asks for, so that what is dear to find out is found out only if it matters.

use super::condition::{Condition, Wanted};
use super::{Listed, Policy, Statement};

impl Policy {
    /// Whether a condition or a variable may be about a key whose name, in lower case, begins so.
    #[must_use]
    pub fn asks_for(&self, begin: &str) -> bool {
        self.statements.iter().any(|statement| statement.asks_for(begin))
    }
}

impl Statement {
    fn asks_for(&self, begin: &str) -> bool {
        let of_resources = match &self.resources {
            None => false,
            Some(Listed::Only(list) | Listed::AllBut(list)) => list.iter().any(|arn| arn.has_variable(begin)),
        };
        of_resources || self.conditions.iter().any(|condition| condition.asks_for(begin))
    }
}

impl Condition {
    /// As [`Policy::asks_for`].
    pub(super) fn asks_for(&self, begin: &str) -> bool {
        let of_values = self.wanted.iter().any(|wanted| match wanted {
            Wanted::Text(pattern, _) => pattern.has_variable(begin),
            Wanted::Arn(parts) => parts.iter().any(|part| part.has_variable(begin)),
            _ => false,
        });
        self.key.starts_with(begin) || of_values
    }
}
