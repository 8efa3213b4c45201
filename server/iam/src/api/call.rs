//! One request: who makes it, what it says, and whether they may.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

use std::sync::Arc;
use std::time::SystemTime;

use granary_auth::policy::{Context, Decision, Policy, PolicyRequest, evaluate};
use granary_auth::{Account, Identity, IdentityKind, Peer, Principal};

use super::conditions;
use super::form::Form;
use crate::documents::Kind;
use crate::error::{Code, IamError, Result};
use crate::state::State;
use crate::store::IdentityStore;

/// A request that was signed rightly.
pub(crate) struct Call<'c> {
    pub(crate) store: &'c IdentityStore,
    pub(crate) form: &'c Form,
    pub(crate) principal: &'c Principal,
    /// Who is at the other end of its connection, if that is known.
    pub(crate) peer: Option<&'c Peer>,
    /// The account it acts in.
    pub(crate) account: Arc<Account>,
    /// `iam:` or `sts:` and the name of the action.
    pub(crate) action: String,
}

impl<'c> Call<'c> {
    /// The account's id.
    pub(crate) fn account_id(&self) -> &str {
        &self.account.id
    }

    /// Who signed, unless it is the root user of the store.
    pub(crate) fn identity(&self) -> Option<&'c Identity> {
        match self.principal {
            Principal::User(identity) => Some(identity),
            Principal::Root { .. } | Principal::Anonymous => None,
        }
    }

    /// The access key that signed.
    pub(crate) fn access_key(&self) -> &'c str {
        match self.principal {
            Principal::User(identity) => &identity.access_key,
            Principal::Root { access_key } => access_key,
            Principal::Anonymous => "",
        }
    }

    /// The ARN of who signed.
    pub(crate) fn caller_arn(&self) -> String {
        match self.identity() {
            Some(identity) => identity.arn.clone(),
            None => format!("arn:aws:iam::{}:root", self.account_id()),
        }
    }

    /// The condition keys that are known of every request to these APIs, whoever makes it.
    pub(crate) fn context(&self) -> Context {
        let mut context = Context::new();
        context.set_time(SystemTime::now());
        context.set_connection(self.peer);
        context
    }

    /// Lets the request through if its sender may do this to `resource`, an ARN or `*`.
    pub(crate) fn authorise(&self, resource: &str) -> Result<()> {
        self.authorise_to(&self.action, resource)
    }

    /// As [`Call::authorise`], for another action that the request needs as well.
    pub(crate) fn authorise_to(&self, action: &str, resource: &str) -> Result<()> {
        if self.decide(action, resource)? == Decision::Allow {
            return Ok(());
        }
        let who = self.caller_arn();
        let message = format!("User: {who} is not authorized to perform: {action} on resource: {resource}");
        Err(IamError::new(Code::AccessDenied, message))
    }

    /// What the sender's own policies say of an action. The root user of an account may do everything in it.
    ///
    /// # Errors
    /// `ValidationError` for parameters that policies cannot be asked about.
    pub(crate) fn decide(&self, action: &str, resource: &str) -> Result<Decision> {
        let Some(identity) = self.identity() else {
            let is_root = matches!(self.principal, Principal::Root { .. });
            return Ok(if is_root { Decision::Allow } else { Decision::ImplicitDeny });
        };
        let mut context = self.context();
        identity.describe(&mut context);
        conditions::describe_request(action, self.form, &mut context)?;
        self.read(|state| {
            conditions::describe_resource(action, resource, self.account_id(), state, &mut context);
        });
        Ok(self.decide_in(identity, action, resource, &context))
    }

    /// What the sender's own policies say of an action, given all values of condition keys.
    pub(crate) fn decide_in(
        &self,
        identity: &Identity,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Decision {
        let request = PolicyRequest { action, resource, context };
        // An ARN without an account means the account whose policy it is in, as some other servers write it.
        let short = resource.replacen(&format!("::{}:", self.account_id()), ":::", 1);
        let short = PolicyRequest { action, resource: &short, context };
        decide(identity, &[request, short])
    }

    /// Reads the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.store.read(look)
    }

    /// The ARN of something of a kind in the account, which need not exist.
    pub(crate) fn arn(&self, kind: Kind, name: &str) -> String {
        let account = self.account_id();
        let found = self.read(|state| match kind {
            Kind::User => state.user(account, name).ok().map(|user| user.head.arn(kind)),
            Kind::Group => state.group(account, name).ok().map(|group| group.head.arn(kind)),
            Kind::Role => state.role(account, name).ok().map(|role| role.head.arn(kind)),
            Kind::Policy => state.policy(account, name).map(|policy| policy.head.arn(kind)),
        });
        found.unwrap_or_else(|| format!("arn:aws:iam::{account}:{}/{name}", kind.word()))
    }
}

/// What all policies of an identity say together. A denial anywhere counts most; else the identity's policies, its
/// boundary and its session policies must each allow it, so that a boundary or a session only ever narrows.
fn decide(identity: &Identity, requests: &[PolicyRequest<'_>]) -> Decision {
    let say = |policies: &[Arc<Policy>]| {
        let decisions =
            requests.iter().map(|request| evaluate(policies.iter().map(|policy| &**policy), request));
        decisions.fold(Decision::ImplicitDeny, |sum, next| match (sum, next) {
            (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => Decision::ExplicitDeny,
            (Decision::Allow, _) | (_, Decision::Allow) => Decision::Allow,
            _ => Decision::ImplicitDeny,
        })
    };
    let own = match (identity.kind, say(&identity.policies)) {
        (IdentityKind::AccountRoot, Decision::ImplicitDeny) => Decision::Allow,
        (_, decision) => decision,
    };
    let boundary = identity.boundary.as_ref().map(|boundary| say(std::slice::from_ref(boundary)));
    let session = identity.session.as_ref().filter(|session| !session.policies.is_empty());
    let session = session.map(|session| say(&session.policies));
    let all = [Some(own), boundary, session];
    if all.contains(&Some(Decision::ExplicitDeny)) {
        return Decision::ExplicitDeny;
    }
    let allowed = all.iter().flatten().all(|decision| *decision == Decision::Allow);
    if allowed { Decision::Allow } else { Decision::ImplicitDeny }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
