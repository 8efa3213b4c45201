use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use granary_auth::{Principal, TokenError};
use zeroize::Zeroizing;

use super::parsed;
use crate::aws_managed::ALL;
use crate::documents::{
    Document, Grants, Head, KeyDocument, KeyStatus, Kind, ProviderDocument, RoleDocument, UserDocument,
    provider_document,
};
use crate::marks::Marks;
use crate::sample::own_account;
use crate::state::State;
use crate::token::{Link, Subject, Token};
use crate::vault::{Purpose, Vault};

const NOW_S: u64 = 1_800_000_000;
const ROOT: &str = "ROOTKEY";

#[test]
fn the_policies_of_aws_can_be_read() {
    for managed in ALL {
        assert!(parsed(managed.text.as_bytes()).is_some(), "{}", managed.name);
        assert_eq!(managed.id.len(), 21, "{}", managed.name);
    }
    assert!(parsed(b"[]").is_none());
}

fn user(vault: &Vault, status: KeyStatus) -> UserDocument {
    let key = KeyDocument {
        id: "AKIA1".to_owned(),
        sealed_secret: vault.seal(Purpose::Secret("AKIA1"), b"swordfish").unwrap(),
        status,
        created_ms: 0,
    };
    let (account, name) = ("123456789012".to_owned(), "ann".to_owned());
    UserDocument {
        head: Head { account, name, path: "/".to_owned(), id: "AIDA1".to_owned(), created_ms: 0 },
        keys: vec![key],
        grants: Grants::default(),
        groups: Vec::new(),
        boundary: None,
        tags: Vec::new(),
        requests_per_s: None,
    }
}

fn put(state: &mut State, user: UserDocument) {
    let name = Kind::User.document_name(&user.head.account, &user.head.name);
    state.put(&name, Some(Document::User(Arc::new(user))));
}

fn state(status: KeyStatus) -> State {
    let vault = Arc::new(Vault::generate().unwrap());
    let mut state = State::new(&own_account("123456789012"));
    put(&mut state, user(&vault, status));
    state.vault = Some(vault);
    state
}

fn token(expires_s: i64) -> Token {
    Token {
        access_key: "ASIA1".to_owned(),
        secret: Zeroizing::new("temporary".to_owned()),
        account: "123456789012".to_owned(),
        subject: Subject::User { id: "AIDA1".to_owned() },
        parent: "AKIA1".to_owned(),
        issued_s: expires_s - 900,
        expires_s,
        policy: None,
        policy_arns: Vec::new(),
        link: Link::First,
    }
}

fn session(state: &State, token: &Token, key: &str) -> Result<Principal, TokenError> {
    let text = token.seal(state.vault.as_ref().unwrap()).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(NOW_S);
    state.known_session(key, &text, now, ROOT).map(|known| known.principal)
}

fn after_s(seconds: i64) -> i64 {
    i64::try_from(NOW_S).unwrap() + seconds
}

#[test]
fn an_active_key_signs_as_its_user() {
    let state = state(KeyStatus::Active);
    let known = state.known_key("AKIA1").unwrap();
    assert_eq!(known.secret.expose(), "swordfish");
    let Principal::User(identity) = known.principal else { panic!("{:?}", known.principal) };
    assert_eq!(identity.arn, "arn:aws:iam::123456789012:user/ann");
    assert!(state.known_key("AKIA2").is_none());
}

#[test]
fn a_disabled_key_is_unknown_at_once() {
    let mut state = state(KeyStatus::Active);
    assert!(state.known_key("AKIA1").is_some());
    let disabled = user(state.vault.as_ref().unwrap(), KeyStatus::Inactive);
    put(&mut state, disabled);
    assert!(state.known_key("AKIA1").is_none());
    assert_eq!(session(&state, &token(after_s(60)), "ASIA1"), Err(TokenError::Invalid));
}

#[test]
fn an_expired_token_is_refused_as_such_also_when_it_was_known() {
    let state = state(KeyStatus::Active);
    assert_eq!(session(&state, &token(after_s(0)), "ASIA1"), Err(TokenError::Expired));
    let good = token(after_s(1));
    let text = good.seal(state.vault.as_ref().unwrap()).unwrap();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(NOW_S + seconds);
    assert!(state.known_session("ASIA1", &text, at(0), ROOT).is_ok());
    assert_eq!(state.known_session("ASIA1", &text, at(1), ROOT).err(), Some(TokenError::Expired));
}

#[test]
fn tokens_are_for_their_key_their_user_and_their_parent() {
    let state = state(KeyStatus::Active);
    assert!(session(&state, &token(after_s(60)), "ASIA1").is_ok());
    assert_eq!(session(&state, &token(after_s(60)), "ASIA2"), Err(TokenError::Invalid));
    let other_user = Token { subject: Subject::User { id: "AIDA2".to_owned() }, ..token(after_s(60)) };
    assert_eq!(session(&state, &other_user, "ASIA1"), Err(TokenError::Invalid));
    let orphan = Token { access_key: "ASIA3".to_owned(), parent: "AKIA9".to_owned(), ..token(after_s(60)) };
    assert_eq!(session(&state, &orphan, "ASIA3"), Err(TokenError::Invalid));
}

#[test]
fn a_policy_that_cannot_be_found_or_read_lets_nobody_in() {
    for change in [
        |user: &mut UserDocument| {
            user.grants.attached.push("arn:aws:iam::123456789012:policy/gone".to_owned());
        },
        |user: &mut UserDocument| drop(user.grants.inline.insert("p".to_owned(), "{".to_owned())),
        |user: &mut UserDocument| user.groups.push("AGPAGONE".to_owned()),
        |user: &mut UserDocument| user.boundary = Some("arn:aws:iam::123456789012:policy/gone".to_owned()),
    ] {
        let mut state = state(KeyStatus::Active);
        let mut changed = user(state.vault.as_ref().unwrap(), KeyStatus::Active);
        change(&mut changed);
        put(&mut state, changed);
        assert!(state.known_key("AKIA1").is_none());
    }
}

fn role(state: &mut State) {
    let (account, name) = ("123456789012".to_owned(), "r".to_owned());
    let role = RoleDocument {
        head: Head { account, name, path: "/".to_owned(), id: "AROA1".to_owned(), created_ms: 0 },
        trust: String::new(),
        description: None,
        max_session_s: 3_600,
        grants: Grants::default(),
        boundary: None,
        tags: vec![("Team".to_owned(), "blue".to_owned()), ("Sun".to_owned(), "2".to_owned())],
    };
    let name = Kind::Role.document_name(&role.head.account, &role.head.name);
    state.put(&name, Some(Document::Role(Arc::new(role))));
}

#[test]
fn a_session_has_its_marks_over_the_tags_of_its_role() {
    let mut state = state(KeyStatus::Active);
    role(&mut state);
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let marks = Marks {
        tags: vec![tag("team", "red")],
        transitive_tags: vec![tag("Star", "1")],
        source_identity: Some("ann".to_owned()),
    };
    let identity = |key: &str, marks| {
        let token = Token {
            access_key: key.to_owned(),
            subject: Subject::role("AROA1", "s", marks),
            ..token(after_s(60))
        };
        match session(&state, &token, key) {
            Ok(Principal::User(identity)) => identity,
            other => panic!("{other:?}"),
        }
    };
    let marked = identity("ASIA1", marks);
    assert_eq!(marked.tags, [tag("team", "red"), tag("Star", "1"), tag("Sun", "2")]);
    let held = marked.session.as_ref().unwrap();
    assert_eq!(held.transitive_tags, [tag("Star", "1")]);
    assert_eq!(held.source_identity.as_deref(), Some("ann"));
    let plain = identity("ASIA2", Marks::default());
    assert_eq!(plain.tags, [tag("Team", "blue"), tag("Sun", "2")]);
    assert!(plain.session.as_ref().is_some_and(|held| held.source_identity.is_none()));
}

#[test]
fn a_session_names_the_provider_it_was_made_with_and_one_made_with_that_does_not() {
    let mut state = state(KeyStatus::Active);
    role(&mut state);
    let provider = ProviderDocument {
        account: "123456789012".to_owned(),
        url: "https://login.example".to_owned(),
        client_ids: Vec::new(),
        thumbprints: Vec::new(),
        created_ms: 0,
        tags: Vec::new(),
    };
    let arn = provider.arn();
    let name = provider_document(&provider.account, provider.place());
    state.put(&name, Some(Document::Provider(Arc::new(provider))));
    let provider_of = |key: &str, parent: &str, link| {
        let token = Token {
            access_key: key.to_owned(),
            subject: Subject::role("AROA1", "s", Marks::default()),
            parent: parent.to_owned(),
            link,
            ..token(after_s(60))
        };
        match session(&state, &token, key) {
            Ok(Principal::User(identity)) => identity.session.as_ref().unwrap().provider.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(provider_of("ASIA1", &arn, Link::First), Some(arn.clone()));
    assert_eq!(provider_of("ASIA2", &arn, Link::Later), None);
    assert_eq!(provider_of("ASIA3", "AKIA1", Link::First), None);
}
