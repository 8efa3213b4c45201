use std::sync::Arc;

use granary_auth::policy::Named;

use crate::documents::{Document, Grants, Head, Kind, RoleDocument, UserDocument};
use crate::error::Code;
use crate::sample::own_account;
use crate::state::State;

const ACCOUNT: &str = "123456789012";
const USER_ID: &str = "AIDAAAAAAAAAAAAAAAANN";
const ROLE_ID: &str = "AROAAAAAAAAAAAAAAAAAR";

fn head(path: &str, name: &str, id: &str) -> Head {
    Head {
        account: ACCOUNT.to_owned(),
        name: name.to_owned(),
        path: path.to_owned(),
        id: id.to_owned(),
        created_ms: 0,
    }
}

fn put_user(state: &mut State, path: &str, name: &str, id: &str) {
    let user = UserDocument {
        head: head(path, name, id),
        keys: Vec::new(),
        grants: Grants::default(),
        groups: Vec::new(),
        boundary: None,
        tags: Vec::new(),
        requests_per_s: None,
    };
    state.put(&Kind::User.document_name(ACCOUNT, name), Some(Document::User(Arc::new(user))));
}

fn put_role(state: &mut State, path: &str, name: &str, id: &str) {
    let role = RoleDocument {
        head: head(path, name, id),
        trust: String::new(),
        description: None,
        max_session_s: 3600,
        grants: Grants::default(),
        boundary: None,
        tags: Vec::new(),
    };
    state.put(&Kind::Role.document_name(ACCOUNT, name), Some(Document::Role(Arc::new(role))));
}

fn remove(state: &mut State, kind: Kind, name: &str) {
    state.put(&kind.document_name(ACCOUNT, name), None);
}

fn state() -> State {
    let mut state = State::new(&own_account(ACCOUNT));
    put_user(&mut state, "/", "Ann", USER_ID);
    put_role(&mut state, "/jobs/", "r", ROLE_ID);
    state
}

fn arn(resource: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{resource}")
}

#[test]
fn arns_name_who_has_them_now() {
    let mut state = state();
    assert_eq!(state.named(&arn("user/Ann")), Named::Id(USER_ID.to_owned()));
    assert_eq!(state.named(&arn("role/jobs/r")), Named::Id(ROLE_ID.to_owned()));
    for nobody in ["user/ann", "user/jobs/Ann", "user/r", "role/r", "role/Ann", "user/", "group/Ann", "root"]
    {
        assert_eq!(state.named(&arn(nobody)), Named::Nobody, "{nobody}");
    }
    for unknown in ["arn:aws:iam::210987654321:user/Ann", "arn:aws:sts::123456789012:user/Ann", "Ann", ""] {
        assert_eq!(state.named(unknown), Named::Unknown, "{unknown}");
    }
    remove(&mut state, Kind::User, "ann");
    assert_eq!(state.named(&arn("user/Ann")), Named::Nobody);
}

#[test]
fn an_id_has_the_arn_of_its_bearer_and_none_when_that_is_gone() {
    let mut state = state();
    assert_eq!(state.arn_of(USER_ID), Some(arn("user/Ann")));
    assert_eq!(state.arn_of(ROLE_ID), Some(arn("role/jobs/r")));
    assert_eq!(state.arn_of("AIDAAAAAAAAAAAAAAAAAX"), None);
    // A user who gets another name.
    remove(&mut state, Kind::User, "Ann");
    put_user(&mut state, "/team/", "Bea", USER_ID);
    assert_eq!(state.arn_of(USER_ID), Some(arn("user/team/Bea")));
    // Another one of the name, and then the role.
    remove(&mut state, Kind::User, "Bea");
    put_user(&mut state, "/team/", "Bea", "AIDAAAAAAAAAAAAAAABEA");
    remove(&mut state, Kind::Role, "r");
    put_role(&mut state, "/jobs/", "r", "AROAAAAAAAAAAAAAAAAAS");
    assert_eq!((state.arn_of(USER_ID), state.arn_of(ROLE_ID)), (None, None));
}

#[test]
fn trust_is_kept_by_ids_and_shown_by_arns() {
    let mut state = state();
    let trust = |principal: &str| {
        format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}}}"#
        )
    };
    let kept = state.kept_trust(&trust(&arn("user/Ann"))).unwrap();
    assert_eq!(kept, trust(USER_ID));
    assert_eq!(state.shown_trust(&kept), trust(&arn("user/Ann")));
    let refused = state.kept_trust(&trust(&arn("user/Bea"))).unwrap_err();
    assert_eq!(refused.code(), Code::MalformedPolicyDocument);
    assert_eq!(
        refused.message(),
        r#"Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:user/Bea""#
    );
    remove(&mut state, Kind::User, "Ann");
    assert_eq!(state.shown_trust(&kept), kept);
}
