use std::sync::Arc;

use granary_auth::policy::Context;

use super::super::form::Form;
use super::{describe_request, describe_resource};
use crate::documents::{
    Document, Grants, Head, Kind, ProviderDocument, Tag, UserDocument, provider_document,
};
use crate::sample::own_account;
use crate::state::State;

const ACCOUNT: &str = "123456789012";
const BOUNDARY: &str = "arn:aws:iam::123456789012:policy/least";
const TAGS: &str =
    "&Tags.member.1.Key=Team&Tags.member.1.Value=red&Tags.member.2.Key=Shift&Tags.member.2.Value=late";

fn of_request(action: &str, parameters: &str) -> Context {
    let form = Form::read(format!("Action=A{parameters}").as_bytes()).unwrap();
    let mut context = Context::new();
    describe_request(action, &form, &mut context).unwrap();
    context
}

#[test]
fn tags_that_a_request_gives_are_keys_of_it() {
    for kind in ["User", "Role", "Policy", "OpenIDConnectProvider"] {
        for verb in ["Create", "Tag"] {
            let context = of_request(&format!("iam:{verb}{kind}"), TAGS);
            assert_eq!(context.single("aws:RequestTag/team"), Some("red"), "{verb}{kind}");
            assert_eq!(context.get("aws:TagKeys"), ["Team", "Shift"], "{verb}{kind}");
        }
        let untag = format!("{TAGS}&TagKeys.member.1=Rank");
        let context = of_request(&format!("iam:Untag{kind}"), &untag);
        assert_eq!(context.get("aws:TagKeys"), ["Rank"], "{kind}");
        assert!(context.get("aws:RequestTag/Team").is_empty(), "{kind}");
    }
}

#[test]
fn parameters_that_mean_nothing_to_an_action_pleased_conditions() {
    let all = format!("{TAGS}&TagKeys.member.1=Team&PermissionsBoundary=b&PolicyArn=p");
    for action in
        ["iam:DeleteUser", "iam:CreateGroup", "iam:UpdateRole", "sts:TagUser", "iam:CreateAccessKey"]
    {
        assert_eq!(of_request(action, &all), Context::new(), "{action}");
    }
    let bounded = of_request("iam:CreateUser", &all);
    assert_eq!(bounded.single("iam:PermissionsBoundary"), Some("b"));
    assert!(bounded.get("iam:PolicyARN").is_empty());
    let halved = Form::read(b"Tags.member.1.Key=Team").unwrap();
    assert!(describe_request("iam:TagUser", &halved, &mut Context::new()).is_err());
}

fn tag(key: &str, value: &str) -> Tag {
    (key.to_owned(), value.to_owned())
}

fn state() -> State {
    let mut state = State::new(&own_account(ACCOUNT));
    let user = UserDocument {
        head: Head {
            account: ACCOUNT.to_owned(),
            name: "ann".to_owned(),
            path: "/team/".to_owned(),
            id: "AIDA1".to_owned(),
            created_ms: 0,
        },
        keys: Vec::new(),
        grants: Grants::default(),
        groups: Vec::new(),
        boundary: Some(BOUNDARY.to_owned()),
        tags: vec![tag("Team", "red")],
        requests_per_s: None,
    };
    state.put(&Kind::User.document_name(ACCOUNT, "ann"), Some(Document::User(Arc::new(user))));
    let provider = ProviderDocument {
        account: ACCOUNT.to_owned(),
        url: "https://login.example".to_owned(),
        client_ids: Vec::new(),
        thumbprints: Vec::new(),
        created_ms: 0,
        tags: vec![tag("Team", "blue")],
    };
    let name = provider_document(ACCOUNT, provider.place());
    state.put(&name, Some(Document::Provider(Arc::new(provider))));
    state
}

#[test]
fn what_a_request_is_about_has_its_tags_and_its_boundary() {
    let state = state();
    let of = |action: &str, rest: &str, account: &str| {
        let mut context = Context::new();
        describe_resource(action, &format!("arn:aws:iam::{ACCOUNT}:{rest}"), account, &state, &mut context);
        context
    };
    let user = of("iam:AttachUserPolicy", "user/team/ann", ACCOUNT);
    for key in ["aws:ResourceTag/team", "iam:ResourceTag/Team"] {
        assert_eq!(user.single(key), Some("red"), "{key}");
    }
    assert_eq!(user.single("iam:PermissionsBoundary"), Some(BOUNDARY));
    assert!(of("iam:DeleteUser", "user/team/ann", ACCOUNT).get("iam:PermissionsBoundary").is_empty());
    // The request itself says which boundary is to be.
    let put = of("iam:PutUserPermissionsBoundary", "user/team/ann", ACCOUNT);
    assert!(put.get("iam:PermissionsBoundary").is_empty());
    let provider = of("iam:TagOpenIDConnectProvider", "oidc-provider/login.example", ACCOUNT);
    assert_eq!(provider.single("aws:ResourceTag/Team"), Some("blue"));
    assert!(provider.get("iam:ResourceTag/Team").is_empty());
    for none in ["user/ann", "user/team/", "role/team/ann", "group/team/ann", "*"] {
        assert_eq!(of("iam:GetUser", none, ACCOUNT), Context::new(), "{none}");
    }
    assert_eq!(of("iam:GetUser", "user/team/ann", "210987654321"), Context::new());
}
