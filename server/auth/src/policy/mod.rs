//! The policy language: what a policy may say, and what it says of a request.
//!
//! A [`Policy`] is read once, strictly: what AWS would refuse is refused with AWS's message, and nothing that could not
//! be understood is kept. What it says of a request is a [`Decision`]; how the decisions of several policies combine is
//! up to who asks ([`evaluate`] takes any number of one kind).
//!
//! Sources: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>,
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

mod about;
mod account_names;
mod actions;
mod check;
mod condition;
mod context;
mod error;
mod evaluate;
mod json;
mod needs;
mod operators;
mod parse;
mod pattern;
mod principal;
mod public;
mod unique_ids;
mod values;

pub use account_names::with_account_numbers;
pub use context::Context;
pub use error::PolicyError;
pub use evaluate::{Decision, Grant, PolicyRequest, ResourceDecision, evaluate};
pub use principal::Caller;
pub use unique_ids::{Named, NoSuchPrincipal, with_current_arns, with_unique_ids};

use condition::Condition;
use pattern::Pattern;
use principal::PrincipalPattern;

/// The largest policy, in bytes. Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html>
pub const POLICY_BYTES_MAX: usize = 20 * 1024;

/// What a policy is attached to, which decides the elements that it must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind<'a> {
    /// A user, group, role or session: it names no principal.
    Identity,
    /// The bucket of this name: it names principals, and resources in this bucket only.
    Bucket(&'a str),
    /// A role, as the policy that says who may assume it: it names principals and no resource.
    Trust,
}

/// Which ids the statements of a policy may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sids {
    /// Each its own, as AWS wants it.
    Unique,
    /// Any: they mean nothing.
    Any,
}

/// A policy that was read and understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    text: String,
    statements: Vec<Statement>,
}

impl Policy {
    /// The policy as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Whether what a statement applies to is allowed or denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// What an element such as `Action` lists, or what `NotAction` leaves out.
#[derive(Debug, Clone, PartialEq)]
enum Listed<T> {
    Only(Vec<T>),
    AllBut(Vec<T>),
}

#[derive(Debug, Clone, PartialEq)]
struct Statement {
    effect: Effect,
    /// None in policies of identities.
    principals: Option<Listed<PrincipalPattern>>,
    actions: Listed<Pattern>,
    /// None in trust policies.
    resources: Option<Listed<Pattern>>,
    conditions: Vec<Condition>,
}
