//! Which condition keys a policy asks for, so that what is dear to find out is found out only if it matters.

use super::condition::{Condition, Wanted};
use super::{Listed, Policy, Statement};

impl Policy {
    /// Whether a condition or a variable is about a key whose name, in lower case, begins so.
    #[must_use]
    pub fn asks_for(&self, begin: &str) -> bool {
        self.statements.iter().any(|statement| statement.asks_for(&|key| key.starts_with(begin)))
    }
}

impl Statement {
    fn asks_for(&self, is_meant: &impl Fn(&str) -> bool) -> bool {
        let of_resources = match &self.resources {
            None => false,
            Some(Listed::Only(list) | Listed::AllBut(list)) => {
                list.iter().any(|arn| arn.has_variable(is_meant))
            }
        };
        of_resources || self.conditions.iter().any(|condition| condition.asks_for(is_meant))
    }
}

impl Condition {
    /// Whether its key, or that of a variable, is one of those that are meant.
    pub(super) fn asks_for(&self, is_meant: &impl Fn(&str) -> bool) -> bool {
        let of_values = self.wanted.iter().any(|wanted| match wanted {
            Wanted::Text(pattern, _) => pattern.has_variable(is_meant),
            Wanted::Arn(parts) => parts.iter().any(|part| part.has_variable(is_meant)),
            _ => false,
        });
        is_meant(&self.key) || of_values
    }
}
