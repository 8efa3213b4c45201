use std::sync::Arc;
use std::time::SystemTime;

use granary_auth::policy::{Context, Policy, PolicyKind, PolicyRequest};
use granary_auth::{Account, Identity, IdentityKind, Principal, Session};
use granary_types::BucketName;

use super::super::payment::Payer;
use super::super::rules::Block;
use super::{AclSays, Lists, Owner, Rules, Stored, Verdict, decide};
use crate::locks::Digest;
use crate::new_buckets::ObjectOwnership;

const ALLOW: &str = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
const DENY: &str = r#"{"Statement":{"Effect":"Deny","Action":"s3:Get*","Resource":"*"}}"#;

fn owner(account: &str) -> Owner {
    Owner { account: account.to_owned(), canonical: account.to_owned(), display_name: "someone".to_owned() }
}

fn policy(text: &str) -> Arc<Policy> {
    Arc::new(Policy::parse(text.as_bytes(), PolicyKind::Identity).unwrap())
}

fn identity(account: &str, kind: IdentityKind, policies: &[&str]) -> Identity {
    Identity {
        account: Arc::new(Account {
            id: account.to_owned(),
            canonical_id: account.to_owned(),
            display_name: "someone".to_owned(),
            email: None,
        }),
        kind,
        arn: format!("arn:aws:iam::{account}:user/u"),
        role_arn: None,
        user_id: "AIDA".to_owned(),
        path: "/".to_owned(),
        name: "u".to_owned(),
        access_key: "AKIA".into(),
        policies: policies.iter().map(|text| policy(text)).collect(),
        boundary: None,
        tags: Vec::new(),
        session: None,
        rate: None,
    }
}

fn user(account: &str, policies: &[&str]) -> Identity {
    identity(account, IdentityKind::User, policies)
}

/// A bucket of account 1 whose policy has these statements.
fn rules(statements: &str) -> Rules {
    let stored = match statements {
        "" => Stored::Absent,
        text => {
            let text = format!(r#"{{"Statement":[{text}]}}"#);
            Stored::Present(Policy::parse(text.as_bytes(), PolicyKind::Bucket("b")).unwrap())
        }
    };
    let policy_is_public = matches!(&stored, Stored::Present(policy) if policy.is_public());
    Rules {
        owner: owner("111111111111"),
        policy: stored,
        policy_is_public,
        block: Block::default(),
        ownership: ObjectOwnership::BucketOwnerEnforced,
        acl: Stored::Absent,
        bucket: BucketName::new("b-1").unwrap(),
        requests_per_s: None,
        tells_events: false,
        payer: Payer::Owner,
        logging: None,
        region: String::new(),
        digest: Digest::Optional,
    }
}

fn statement(effect: &str, principal: &str) -> String {
    format!(
        r#"{{"Effect":"{effect}","Principal":{{"AWS":"{principal}"}},"Action":"s3:*","Resource":["arn:aws:s3:::b/*","arn:aws:s3:::b"]}}"#
    )
}

fn get(principal: &Principal, rules: &Rules, acl: AclSays) -> Verdict {
    ask(principal, rules, "s3:GetObject", acl)
}

fn ask(principal: &Principal, rules: &Rules, action: &str, acl: AclSays) -> Verdict {
    let own = match principal {
        Principal::Anonymous => None,
        Principal::Root { .. } => Some(owner("000000000000")),
        Principal::User(identity) => Some(owner(&identity.account.id)),
    };
    let context = Context::new();
    let request = PolicyRequest { action, resource: "arn:aws:s3:::b/k", context: &context };
    decide(principal, own.as_ref(), Some(rules), &request, Lists { says: acl, object_owner: None })
}

fn says(identity: Identity, rules: &Rules) -> Verdict {
    get(&Principal::User(Arc::new(identity)), rules, AclSays::Nothing)
}

#[test]
fn within_an_account_either_policy_is_enough() {
    let own = "111111111111";
    assert_eq!(says(user(own, &[]), &rules("")), Verdict::Denied);
    assert_eq!(says(user(own, &[ALLOW]), &rules("")), Verdict::Allowed);
    let named = rules(&statement("Allow", "arn:aws:iam::111111111111:user/u"));
    assert_eq!(says(user(own, &[]), &named), Verdict::Allowed);
    // The account is named, and its policies do not let the user.
    assert_eq!(says(user(own, &[]), &rules(&statement("Allow", own))), Verdict::Denied);
    assert_eq!(says(identity(own, IdentityKind::AccountRoot, &[]), &rules("")), Verdict::Allowed);
}

#[test]
fn between_accounts_both_policies_are_needed() {
    let other = "222222222222";
    let named = rules(&statement("Allow", other));
    assert_eq!(says(user(other, &[ALLOW]), &rules("")), Verdict::Denied);
    assert_eq!(says(user(other, &[]), &named), Verdict::Denied);
    assert_eq!(says(user(other, &[ALLOW]), &named), Verdict::Allowed);
    assert_eq!(says(identity(other, IdentityKind::AccountRoot, &[]), &named), Verdict::Allowed);
    assert_eq!(says(identity(other, IdentityKind::AccountRoot, &[]), &rules("")), Verdict::Denied);
    let granted = Principal::User(Arc::new(user(other, &[ALLOW])));
    assert_eq!(get(&granted, &rules(""), AclSays::Granted), Verdict::Allowed);
}

#[test]
fn a_denial_anywhere_wins() {
    let own = "111111111111";
    let open = rules(&statement("Allow", "arn:aws:iam::111111111111:user/u"));
    assert_eq!(says(user(own, &[ALLOW, DENY]), &open), Verdict::Forbidden);
    assert_eq!(says(user(own, &[ALLOW]), &rules(&statement("Deny", "*"))), Verdict::Forbidden);
    assert_eq!(
        says(Identity { boundary: Some(policy(DENY)), ..user(own, &[ALLOW]) }, &open),
        Verdict::Forbidden
    );
    let root = identity(own, IdentityKind::AccountRoot, &[]);
    assert_eq!(says(root, &rules(&statement("Deny", "*"))), Verdict::Forbidden);
    let superuser = Principal::Root { access_key: "root".into() };
    assert_eq!(get(&superuser, &rules(&statement("Deny", "*")), AclSays::Nothing), Verdict::Forbidden);
}

#[test]
fn boundaries_and_session_policies_only_narrow() {
    let own = "111111111111";
    let writes = r#"{"Statement":{"Effect":"Allow","Action":"s3:Put*","Resource":"*"}}"#;
    let bounded = |boundary: &str, policies: &[&str]| Identity {
        boundary: Some(policy(boundary)),
        ..user(own, policies)
    };
    assert_eq!(says(bounded(writes, &[ALLOW]), &rules("")), Verdict::Denied);
    assert_eq!(says(bounded(ALLOW, &[]), &rules("")), Verdict::Denied);
    assert_eq!(says(bounded(writes, &[]), &rules(&statement("Allow", "*"))), Verdict::Denied);
    let session = |narrowing: &str, policies: &[&str]| Identity {
        session: Some(Session {
            issued_at: SystemTime::UNIX_EPOCH,
            expires_at: SystemTime::UNIX_EPOCH,
            policies: vec![policy(narrowing)],
            parent: "AKIA".into(),
            transitive_tags: Vec::new(),
            source_identity: None,
            provider: None,
        }),
        kind: IdentityKind::AssumedRole,
        role_arn: Some("arn:aws:iam::111111111111:role/r".to_owned()),
        ..user(own, policies)
    };
    assert_eq!(says(session(ALLOW, &[]), &rules("")), Verdict::Denied);
    assert_eq!(says(session(writes, &[ALLOW]), &rules("")), Verdict::Denied);
    assert_eq!(says(session(ALLOW, &[ALLOW]), &rules("")), Verdict::Allowed);
    let role = rules(&statement("Allow", "arn:aws:iam::111111111111:role/r"));
    assert_eq!(says(session(writes, &[]), &role), Verdict::Denied);
    assert_eq!(says(session(ALLOW, &[]), &role), Verdict::Allowed);
}

#[test]
fn no_policy_locks_the_owner_out_of_the_policy() {
    let shut = rules(&statement("Deny", "*"));
    let root = Principal::User(Arc::new(identity("111111111111", IdentityKind::AccountRoot, &[])));
    let superuser = Principal::Root { access_key: "root".into() };
    let own_user = Principal::User(Arc::new(user("111111111111", &[ALLOW])));
    let other_root = Principal::User(Arc::new(identity("222222222222", IdentityKind::AccountRoot, &[])));
    for action in ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"] {
        assert_eq!(ask(&root, &shut, action, AclSays::Nothing), Verdict::Allowed);
        assert_eq!(ask(&superuser, &shut, action, AclSays::Nothing), Verdict::Allowed);
        assert_eq!(ask(&own_user, &shut, action, AclSays::Nothing), Verdict::Forbidden);
        assert_eq!(ask(&other_root, &shut, action, AclSays::Nothing), Verdict::Forbidden);
    }
    assert_eq!(ask(&root, &shut, "s3:DeleteBucket", AclSays::Nothing), Verdict::Forbidden);
}

#[test]
fn a_policy_that_cannot_be_read_lets_nobody_in() {
    let broken = Rules { policy: Stored::Unreadable, ..rules("") };
    let root = Principal::User(Arc::new(identity("111111111111", IdentityKind::AccountRoot, &[])));
    assert_eq!(get(&root, &broken, AclSays::Granted), Verdict::Forbidden);
    assert_eq!(get(&Principal::Anonymous, &broken, AclSays::Granted), Verdict::Forbidden);
    assert_eq!(ask(&root, &broken, "s3:DeleteBucketPolicy", AclSays::Nothing), Verdict::Allowed);
}

#[test]
fn restricted_public_policies_let_in_the_owners_account_only() {
    let block = Block { restrict: true, ..Block::default() };
    let public = Rules { block, ..rules(&statement("Allow", "*")) };
    assert_eq!(
        get(&Principal::Anonymous, &rules(&statement("Allow", "*")), AclSays::Nothing),
        Verdict::Allowed
    );
    assert_eq!(get(&Principal::Anonymous, &public, AclSays::Nothing), Verdict::Denied);
    assert_eq!(says(user("222222222222", &[ALLOW]), &public), Verdict::Denied);
    assert_eq!(says(user("111111111111", &[]), &public), Verdict::Allowed);
    let private = Rules { block, ..rules(&statement("Allow", "222222222222")) };
    assert_eq!(says(user("222222222222", &[ALLOW]), &private), Verdict::Allowed);
}

#[test]
fn the_objects_of_others_are_not_the_bucket_owners_to_share() {
    let open = rules(&statement("Allow", "*"));
    let context = Context::new();
    let request = PolicyRequest { action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &context };
    let lists = Lists { says: AclSays::Nothing, object_owner: Some("222222222222") };
    let says = |identity: Option<Identity>| {
        let own = identity.as_ref().map(|identity| owner(&identity.account.id));
        let principal = identity.map_or(Principal::Anonymous, |identity| Principal::User(Arc::new(identity)));
        decide(&principal, own.as_ref(), Some(&open), &request, lists)
    };
    assert_eq!(says(None), Verdict::Denied);
    assert_eq!(says(Some(identity("111111111111", IdentityKind::AccountRoot, &[]))), Verdict::Denied);
    assert_eq!(says(Some(identity("222222222222", IdentityKind::AccountRoot, &[]))), Verdict::Allowed);
    assert_eq!(says(Some(user("222222222222", &[]))), Verdict::Denied);
}
