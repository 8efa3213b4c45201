use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::Context;
use crate::identity::{Account, Identity, IdentityKind, Session};
use crate::peer::Peer;

const PROVIDER: &str = "arn:aws:iam::123456789012:oidc-provider/login.example";

fn session() -> Identity {
    let issued_at = UNIX_EPOCH + Duration::from_millis(1_445_412_480_500);
    let account = Account {
        id: "123456789012".to_owned(),
        canonical_id: "a".repeat(64),
        display_name: "a".to_owned(),
        email: None,
    };
    Identity {
        account: Arc::new(account),
        kind: IdentityKind::AssumedRole,
        arn: "arn:aws:sts::123456789012:assumed-role/r/s".to_owned(),
        role_arn: Some("arn:aws:iam::123456789012:role/r".to_owned()),
        user_id: "AROA1:s".to_owned(),
        path: "/".to_owned(),
        name: "r".to_owned(),
        access_key: "ASIA1".into(),
        policies: Vec::new(),
        boundary: None,
        tags: vec![("Team".to_owned(), "red".to_owned())],
        session: Some(Session {
            issued_at,
            expires_at: issued_at + Duration::from_secs(900),
            parent: PROVIDER.to_owned(),
            policies: Vec::new(),
            transitive_tags: Vec::new(),
            source_identity: Some("ann".to_owned()),
            provider: Some(PROVIDER.to_owned()),
        }),
        rate: None,
    }
}

fn described(identity: &Identity) -> Context {
    let mut context = Context::new();
    identity.describe(&mut context);
    context
}

#[test]
fn a_session_is_described_as_long_as_it_lasts() {
    let context = described(&session());
    for (key, value) in [
        ("aws:PrincipalArn", "arn:aws:iam::123456789012:role/r"),
        ("aws:PrincipalAccount", "123456789012"),
        ("aws:PrincipalType", "AssumedRole"),
        ("aws:userid", "AROA1:s"),
        ("aws:PrincipalTag/team", "red"),
        ("aws:TokenIssueTime", "2015-10-21T07:28:00Z"),
        ("aws:MultiFactorAuthPresent", "false"),
        ("aws:SourceIdentity", "ann"),
        ("aws:FederatedProvider", PROVIDER),
    ] {
        assert_eq!(context.single(key), Some(value), "{key}");
    }
    assert!(context.get("aws:username").is_empty());
}

#[test]
fn a_user_with_a_key_has_a_name_and_nothing_of_a_session() {
    let user = Identity { kind: IdentityKind::User, role_arn: None, session: None, ..session() };
    let context = described(&user);
    assert_eq!(context.single("aws:username"), Some("r"));
    for key in ["TokenIssueTime", "MultiFactorAuthPresent", "SourceIdentity", "FederatedProvider"] {
        assert!(context.get(&format!("aws:{key}")).is_empty(), "{key}");
    }
}

#[test]
fn tags_of_a_principal_whose_keys_differ_by_case_alone_passed_for_the_last_of_them() {
    let tags = ["Team", "team"].map(|key| (key.to_owned(), "red".to_owned()));
    let context = described(&Identity { tags: tags.to_vec(), ..session() });
    assert!(context.is_unclear("aws:principaltag/team"));
    assert_eq!(context.single("aws:PrincipalTag/Team"), None);
}

#[test]
fn the_time_is_told_to_the_second() {
    let mut context = Context::new();
    context.set_time(UNIX_EPOCH + Duration::from_millis(1_445_412_480_999));
    assert_eq!(context.single("aws:CurrentTime"), Some("2015-10-21T07:28:00Z"));
    assert_eq!(context.single("aws:EpochTime"), Some("1445412480"));
}

#[test]
fn a_connection_of_which_nothing_is_known_is_not_secure() {
    let described = |peer: Option<Peer>| {
        let mut context = Context::new();
        context.set_connection(peer.as_ref());
        context
    };
    let address = "::ffff:192.0.2.1".parse().unwrap();
    let secure = described(Some(Peer { address, tls_version: Some("1.3") }));
    assert_eq!(secure.single("aws:SourceIp"), Some("192.0.2.1"));
    assert_eq!(secure.single("aws:SecureTransport"), Some("true"));
    let plain = described(Some(Peer { address, tls_version: None }));
    assert_eq!(plain.single("aws:SecureTransport"), Some("false"));
    let unknown = described(None);
    assert_eq!(unknown.single("aws:SecureTransport"), Some("false"));
    assert!(unknown.get("aws:SourceIp").is_empty());
}
