//! What policies say of a request.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

use super::context::Context;
use super::pattern::{Case, Pattern};
use super::principal::{Caller, PrincipalPattern};
use super::{Effect, Listed, Policy, Statement};

/// What one or several policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement denies it. Nothing else counts.
    ExplicitDeny,
    /// A statement allows it.
    Allow,
    /// No statement speaks of it.
    ImplicitDeny,
}

/// How a statement of a resource's policy names who it lets in. The later, the more it grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// As one of an account, which is to say that the account's own policies decide.
    Account,
    /// As a session of the role that is named: what narrows the session narrows this too.
    Role,
    /// As anyone.
    Anyone,
    /// By the caller's own name.
    Caller,
}

/// What the policy of a resource says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceDecision {
    /// A statement denies it. Nothing else counts.
    ExplicitDeny,
    /// A statement allows it, to the caller as this.
    Allow(Grant),
    /// No statement speaks of it.
    ImplicitDeny,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct PolicyRequest<'a> {
    /// The action, such as `s3:GetObject`.
    pub action: &'a str,
    /// The ARN of what it is asked of, or `*` for what has none.
    pub resource: &'a str,
    /// The values of the condition keys.
    pub context: &'a Context,
}

/// What the policies of an identity say together: one denial counts more than anything else, and one permission is enough.
pub fn evaluate<'p>(policies: impl IntoIterator<Item = &'p Policy>, request: &PolicyRequest<'_>) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for statement in policies.into_iter().flat_map(|policy| &policy.statements) {
        // Policies of identities name nobody; one that does is not one of these.
        if statement.principals.is_some() || !statement.applies(request) {
            continue;
        }
        match statement.effect {
            Effect::Deny => return Decision::ExplicitDeny,
            Effect::Allow => decision = Decision::Allow,
        }
    }
    decision
}

impl Policy {
    /// What this policy of a resource says of a request by a caller.
    #[must_use]
    pub fn decide(&self, caller: &Caller<'_>, request: &PolicyRequest<'_>) -> ResourceDecision {
        let mut best: Option<Grant> = None;
        for statement in &self.statements {
            let Some(grant) = statement.grant_to(caller) else { continue };
            if !statement.applies(request) {
                continue;
            }
            match statement.effect {
                Effect::Deny => return ResourceDecision::ExplicitDeny,
                Effect::Allow => best = best.max(Some(grant)),
            }
        }
        best.map_or(ResourceDecision::ImplicitDeny, ResourceDecision::Allow)
    }
}

impl Statement {
    /// How the statement means the caller, if it does.
    fn grant_to(&self, caller: &Caller<'_>) -> Option<Grant> {
        let best = |list: &[PrincipalPattern]| list.iter().filter_map(|one| one.grant_to(caller)).max();
        match self.principals.as_ref()? {
            Listed::Only(list) => best(list),
            // To leave out an account leaves out its root user alone, as AWS has it.
            Listed::AllBut(list) => {
                best(list).is_none_or(|grant| grant == Grant::Account).then_some(Grant::Anyone)
            }
        }
    }

    /// Whether action, resource and conditions fit.
    fn applies(&self, request: &PolicyRequest<'_>) -> bool {
        let PolicyRequest { action, resource, context } = *request;
        contains(&self.actions, |pattern| pattern.matches(action, context, Case::Insensitive))
            && self.resources.as_ref().is_none_or(|resources| self.means(resources, resource, context))
            && self.conditions.iter().all(|condition| condition.holds(context, self.effect))
    }

    /// Whether the resource fits. Where a variable is not clear, what could fit does so if that lets nothing pass.
    fn means(&self, resources: &Listed<Pattern>, resource: &str, context: &Context) -> bool {
        let is_fit_unclear = match resources {
            Listed::Only(_) => self.effect == Effect::Deny,
            Listed::AllBut(_) => self.effect == Effect::Allow,
        };
        contains(resources, |pattern| {
            if pattern.has_variable(&|key| context.is_unclear(key)) {
                return is_fit_unclear && pattern.could_match(resource, Case::Sensitive);
            }
            pattern.matches(resource, context, Case::Sensitive)
        })
    }
}

fn contains(listed: &Listed<Pattern>, fits: impl Fn(&Pattern) -> bool) -> bool {
    match listed {
        Listed::Only(list) => list.iter().any(fits),
        Listed::AllBut(list) => !list.iter().any(fits),
    }
}
