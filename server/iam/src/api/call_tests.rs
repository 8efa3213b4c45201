use std::sync::Arc;
use std::time::{Duration, SystemTime};

use granary_auth::policy::{Context, Decision, Policy, PolicyKind, PolicyRequest};
use granary_auth::{Identity, IdentityKind, Session};

use super::decide;
use crate::sample::own_account;

fn policy(effect: &str, action: &str) -> Arc<Policy> {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"{action}","Resource":"*"}}}}"#
    );
    Arc::new(Policy::parse(text.as_bytes(), PolicyKind::Identity).unwrap())
}

fn identity(kind: IdentityKind, policies: Vec<Arc<Policy>>) -> Identity {
    Identity {
        account: own_account("123456789012"),
        kind,
        arn: "arn:aws:iam::123456789012:user/u".to_owned(),
        role_arn: None,
        user_id: "AIDA".to_owned(),
        path: "/".to_owned(),
        name: "u".to_owned(),
        access_key: "AKIA".into(),
        policies,
        boundary: None,
        tags: Vec::new(),
        session: None,
        rate: None,
    }
}

fn session(policies: Vec<Arc<Policy>>) -> Option<Session> {
    let now = SystemTime::now();
    let expires_at = now + Duration::from_secs(60);
    Some(Session {
        issued_at: now,
        expires_at,
        parent: "AKIA".to_owned(),
        policies,
        transitive_tags: Vec::new(),
        source_identity: None,
        provider: None,
    })
}

fn says(identity: &Identity, action: &str) -> Decision {
    let context = Context::new();
    decide(identity, &[PolicyRequest { action, resource: "*", context: &context }])
}

#[test]
fn session_policies_that_widen_give_nothing() {
    let mut user = identity(IdentityKind::User, vec![policy("Allow", "iam:Get*")]);
    user.session = session(vec![policy("Allow", "*")]);
    assert_eq!(says(&user, "iam:GetUser"), Decision::Allow);
    assert_eq!(says(&user, "iam:CreateUser"), Decision::ImplicitDeny);
    user.session = session(vec![policy("Allow", "iam:ListUsers")]);
    assert_eq!(says(&user, "iam:GetUser"), Decision::ImplicitDeny);
    assert_eq!(says(&user, "iam:ListUsers"), Decision::ImplicitDeny);
    user.session = session(Vec::new());
    assert_eq!(says(&user, "iam:GetUser"), Decision::Allow);
}

#[test]
fn a_narrowed_session_of_an_account_is_narrow() {
    let mut root = identity(IdentityKind::AccountRoot, Vec::new());
    assert_eq!(says(&root, "iam:CreateUser"), Decision::Allow);
    root.session = session(vec![policy("Allow", "iam:Get*")]);
    assert_eq!(says(&root, "iam:CreateUser"), Decision::ImplicitDeny);
    assert_eq!(says(&root, "iam:GetUser"), Decision::Allow);
    root.session = session(vec![policy("Deny", "iam:GetUser")]);
    assert_eq!(says(&root, "iam:GetUser"), Decision::ExplicitDeny);
}

#[test]
fn a_boundary_only_narrows_and_a_denial_counts_most() {
    let mut user = identity(IdentityKind::User, vec![policy("Allow", "iam:*")]);
    user.boundary = Some(policy("Allow", "iam:Get*"));
    assert_eq!(says(&user, "iam:GetUser"), Decision::Allow);
    assert_eq!(says(&user, "iam:CreateUser"), Decision::ImplicitDeny);
    user.boundary = Some(policy("Allow", "*"));
    assert_eq!(says(&user, "s3:GetObject"), Decision::ImplicitDeny);
    user.policies.push(policy("Deny", "iam:GetUser"));
    assert_eq!(says(&user, "iam:GetUser"), Decision::ExplicitDeny);
    assert_eq!(says(&identity(IdentityKind::User, Vec::new()), "iam:GetUser"), Decision::ImplicitDeny);
}
