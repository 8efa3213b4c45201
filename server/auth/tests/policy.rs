//! Policies as AWS reads them: what is refused, with which message, and what is allowed.
#![allow(clippy::unwrap_used)] // A test helper that panics fails its test.

use granary_auth::policy::{
    Caller, Context, Decision, Grant, Policy, PolicyError, PolicyKind, PolicyRequest, ResourceDecision, Sids,
    evaluate,
};

const BUCKET: PolicyKind<'_> = PolicyKind::Bucket("photos");
const ALICE: Caller<'_> = Caller::User {
    account: "111122223333",
    canonical: "aa11",
    arn: "arn:aws:iam::111122223333:user/alice",
    id: ALICE_ID,
};
const ALICE_ID: &str = "AIDAAAAAAAAAAAAAALICE";

fn bucket_policy(statement: &str) -> Result<Policy, PolicyError> {
    Policy::parse(format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#).as_bytes(), BUCKET)
}

fn grant(principal: &str) -> Policy {
    bucket_policy(&format!(
        r#"{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}}"#
    ))
    .unwrap()
}

fn read(policy: &Policy, caller: &Caller<'_>) -> ResourceDecision {
    let context = Context::new();
    policy.decide(
        caller,
        &PolicyRequest { action: "s3:GetObject", resource: "arn:aws:s3:::photos/a", context: &context },
    )
}

#[test]
fn principals_are_matched_by_what_they_name() {
    let session = Caller::Session {
        account: "111122223333",
        canonical: "aa11",
        arn: "arn:aws:sts::111122223333:assumed-role/r/s",
        role_arn: "arn:aws:iam::111122223333:role/r",
        role_id: "AROAAAAAAAAAAAAAAAAAR",
    };
    let root = Caller::Root { account: "111122223333", canonical: "aa11" };
    let none = ResourceDecision::ImplicitDeny;
    let allow = ResourceDecision::Allow;
    for (principal, alice, session_gets, root_gets, anonymous) in [
        (r#""*""#, allow(Grant::Anyone), allow(Grant::Anyone), allow(Grant::Anyone), allow(Grant::Anyone)),
        (
            r#"{"AWS":"*"}"#,
            allow(Grant::Anyone),
            allow(Grant::Anyone),
            allow(Grant::Anyone),
            allow(Grant::Anyone),
        ),
        (
            r#"{"AWS":"111122223333"}"#,
            allow(Grant::Account),
            allow(Grant::Account),
            allow(Grant::Caller),
            none,
        ),
        (
            r#"{"AWS":"arn:aws:iam::111122223333:root"}"#,
            allow(Grant::Account),
            allow(Grant::Account),
            allow(Grant::Caller),
            none,
        ),
        (
            r#"{"CanonicalUser":"aa11"}"#,
            allow(Grant::Account),
            allow(Grant::Account),
            allow(Grant::Caller),
            none,
        ),
        (r#"{"AWS":["arn:aws:iam::111122223333:user/alice"]}"#, allow(Grant::Caller), none, none, none),
        (r#"{"AWS":"arn:aws:iam::111122223333:role/r"}"#, none, allow(Grant::Role), none, none),
        (r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/r/s"}"#, none, allow(Grant::Caller), none, none),
        (r#"{"AWS":["AIDAAAAAAAAAAAAAALICE"]}"#, allow(Grant::Caller), none, none, none),
        (r#"{"AWS":"AROAAAAAAAAAAAAAAAAAR"}"#, none, allow(Grant::Role), none, none),
        (r#"{"AWS":"AIDAAAAAAAAAAAAAAAAAR"}"#, none, none, none, none),
        (r#"{"AWS":"AROAAAAAAAAAAAAAALICE"}"#, none, none, none, none),
        (r#"{"CanonicalUser":"AIDAAAAAAAAAAAAAALICE"}"#, none, none, none, none),
        (r#"{"AWS":"444455556666"}"#, none, none, none, none),
        (r#"{"Service":"logging.s3.amazonaws.com"}"#, none, none, none, none),
    ] {
        let policy = grant(principal);
        assert_eq!(read(&policy, &ALICE), alice, "{principal}");
        assert_eq!(read(&policy, &session), session_gets, "{principal}");
        assert_eq!(read(&policy, &root), root_gets, "{principal}");
        assert_eq!(read(&policy, &Caller::Anonymous), anonymous, "{principal}");
    }
    let logging = grant(r#"{"Service":"logging.s3.amazonaws.com"}"#);
    assert_eq!(read(&logging, &Caller::Service("logging.s3.amazonaws.com")), allow(Grant::Caller));
}

#[test]
fn not_principal_denies_everyone_else() {
    let deny = |list: &str| {
        bucket_policy(&format!(
            r#"{{"Effect":"Deny","NotPrincipal":{list},"Action":"s3:*","Resource":"arn:aws:s3:::photos/*"}}"#
        ))
        .unwrap()
    };
    let but_alice = deny(r#"{"AWS":"arn:aws:iam::111122223333:user/alice"}"#);
    assert_eq!(read(&but_alice, &ALICE), ResourceDecision::ImplicitDeny);
    assert_eq!(read(&but_alice, &Caller::Anonymous), ResourceDecision::ExplicitDeny);
    let but_her_id = deny(&format!(r#"{{"AWS":"{ALICE_ID}"}}"#));
    assert_eq!(read(&but_her_id, &ALICE), ResourceDecision::ImplicitDeny);
    let but_the_root_user = deny(r#"{"AWS":"111122223333"}"#);
    assert_eq!(read(&but_the_root_user, &ALICE), ResourceDecision::ExplicitDeny);
}

#[test]
fn a_denial_counts_more_than_any_permission() {
    let policy = bucket_policy(
        r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::photos/*"},
           {"Effect":"Deny","Principal":"*","NotAction":["s3:Put*"],"NotResource":"arn:aws:s3:::photos/open/*"}"#,
    )
    .unwrap();
    let context = Context::new();
    let of = |action, resource| policy.decide(&ALICE, &PolicyRequest { action, resource, context: &context });
    assert_eq!(of("s3:GetObject", "arn:aws:s3:::photos/a"), ResourceDecision::ExplicitDeny);
    assert_eq!(of("s3:getobject", "arn:aws:s3:::photos/open/a"), ResourceDecision::Allow(Grant::Anyone));
    assert_eq!(of("s3:PutObject", "arn:aws:s3:::photos/a"), ResourceDecision::Allow(Grant::Anyone));
}

#[test]
fn identities_get_what_their_policies_allow_together() {
    let parse = |text: &str| Policy::parse(text.as_bytes(), PolicyKind::Identity).unwrap();
    let home = parse(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"}}"#,
    );
    let no_delete =
        parse(r#"{"Statement":[{"Effect":"Deny","Action":["s3:Delete*","iam:*"],"Resource":["*"]}]}"#);
    let mut context = Context::new();
    context.set("aws:username", "alice");
    let of = |policies: &[&Policy], action, resource| {
        evaluate(policies.iter().copied(), &PolicyRequest { action, resource, context: &context })
    };
    let own = "arn:aws:s3:::home/alice/x";
    assert_eq!(of(&[&home, &no_delete], "s3:PutObject", own), Decision::Allow);
    assert_eq!(of(&[&home, &no_delete], "s3:DeleteObject", own), Decision::ExplicitDeny);
    assert_eq!(of(&[&home], "s3:PutObject", "arn:aws:s3:::home/bob/x"), Decision::ImplicitDeny);
    assert_eq!(of(&[], "s3:PutObject", own), Decision::ImplicitDeny);
}

#[test]
fn variables_are_text_in_the_older_version() {
    let policy = Policy::parse(
        br#"{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}"}}"#,
        PolicyKind::Identity,
    )
    .unwrap();
    let mut context = Context::new();
    context.set("aws:username", "alice");
    let request =
        PolicyRequest { action: "s3:GetObject", resource: "arn:aws:s3:::home/alice", context: &context };
    assert_eq!(evaluate([&policy], &request), Decision::ImplicitDeny);
}

#[test]
fn what_aws_refuses_is_refused_with_its_message() {
    let statement = |changed: &str, to: &str| {
        let good = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}"#;
        assert!(good.contains(changed));
        bucket_policy(&good.replace(changed, to)).unwrap_err().to_string()
    };
    assert_eq!(statement(r#""Effect":"Allow","#, ""), "Missing required field Effect");
    assert_eq!(statement(r#""Allow""#, r#""allow""#), "Invalid effect: allow");
    assert_eq!(statement(r#""Principal":"*","#, ""), "Missing required field Principal");
    assert_eq!(statement(r#""Principal":"*""#, r#""Principal":"bob""#), "Invalid principal in policy");
    assert_eq!(
        statement(r#""Principal":"*""#, r#""Principal":{"AWS":"arn:aws:iam::1:user/*"}"#),
        "Invalid principal in policy"
    );
    // An id of something else, one that is too short, and one with other letters.
    for id in [
        "AGPAAAAAAAAAAAAAAAAAA",
        "AIDA",
        "AIDAaaaaaaaaaaaaaaaaa",
        "AROAAAAAAAAAAAAAAAA:s",
        "AROAAAAAAAAAAAAAAAAA*",
    ] {
        let named = format!(r#""Principal":{{"AWS":"{id}"}}"#);
        assert_eq!(statement(r#""Principal":"*""#, &named), "Invalid principal in policy", "{id}");
    }
    assert_eq!(
        statement(r#""Principal":"*""#, r#""NotPrincipal":"*""#),
        "Allow with NotPrincipal is not allowed."
    );
    assert_eq!(statement("s3:GetObject", "s3:Fly"), "Policy has invalid action");
    assert_eq!(statement("s3:GetObject", "GetObject"), "Policy has invalid action");
    assert_eq!(
        statement("s3:GetObject", "s3:ListBucket"),
        "Action does not apply to any resource(s) in statement"
    );
    assert_eq!(statement("photos/*", "photos"), "Action does not apply to any resource(s) in statement");
    assert_eq!(statement(":::photos/*", ":::videos/*"), "Policy has invalid resource");
    assert_eq!(statement("arn:aws:s3:::photos/*", "photos/*"), "Policy has invalid resource");
    assert_eq!(statement(r#""Effect""#, r#""Sort":1,"Effect""#), "Unknown field Sort");
    let condition = |text: &str| statement(r#""Effect""#, &format!(r#""Condition":{text},"Effect""#));
    assert_eq!(condition(r#"{"StringIs":{"s3:prefix":"a"}}"#), "Invalid Condition type : StringIs");
    assert_eq!(condition(r#"{"StringEquals":{"s3:colour":"a"}}"#), "Policy has an invalid condition key");
    assert_eq!(condition(r#"{"StringEquals":"a"}"#), "Invalid policy syntax.");
}

/// What was meant as a denial of some objects denied nothing, or all of them.
#[test]
fn a_condition_has_to_apply_to_an_action_of_its_statement() {
    let is_taken = |actions: &str, key: &str| {
        let resources = r#"["arn:aws:s3:::photos","arn:aws:s3:::photos/*"]"#;
        let text = format!(
            r#"{{"Statement":{{"Effect":"Deny","Principal":"*",{actions},"Resource":{resources},"Condition":{{"StringLike":{{"{key}":"a"}}}}}}}}"#
        );
        match Policy::parse(text.as_bytes(), BUCKET).unwrap().check_conditions() {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(
                    error.to_string(),
                    "Conditions do not apply to combination of actions and resources in statement"
                );
                false
            }
        }
    };
    let get = r#""Action":"s3:GetObject""#;
    assert!(!is_taken(get, "s3:prefix"));
    assert!(!is_taken(get, "s3:Max-Keys"));
    assert!(is_taken(r#""Action":["s3:GetObject","s3:ListBucket"]"#, "s3:prefix"));
    assert!(is_taken(r#""Action":"s3:List*""#, "s3:delimiter"));
    assert!(is_taken(r#""NotAction":"s3:ListBucket""#, "s3:prefix"));
    assert!(!is_taken(r#""Action":"s3:ListBucket""#, "s3:ExistingObjectTag/team"));
    assert!(!is_taken(r#""Action":"s3:DeleteBucket""#, "s3:x-amz-server-side-encryption-aws-kms-key-id"));
    assert!(is_taken(get, "s3:ExistingObjectTag/team"));
    assert!(is_taken(get, "s3:VersionId"));
    assert!(!is_taken(get, "s3:InventoryAccessibleOptionalFields"));
    for everywhere in ["aws:UserAgent", "s3:authType", "s3:x-amz-acl"] {
        assert!(is_taken(get, everywhere) && is_taken(r#""Action":"s3:ListBucket""#, everywhere));
    }
}

#[test]
fn statements_have_ids_of_their_own_unless_that_does_not_count() {
    let text = |other: &str| {
        let one = r#"{"Sid":"a","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}"#;
        format!(r#"{{"Statement":[{one},{}]}}"#, one.replace(r#""a""#, other))
    };
    assert!(Policy::parse(text(r#""b""#).as_bytes(), BUCKET).is_ok());
    let same = text(r#""a""#);
    let error = Policy::parse(same.as_bytes(), BUCKET).unwrap_err();
    assert_eq!(error.to_string(), "Duplicate statement ID: a");
    assert!(Policy::parse_with(same.as_bytes(), BUCKET, Sids::Any).is_ok());
    assert!(Policy::parse_with(text("1").as_bytes(), BUCKET, Sids::Any).is_err());
}

#[test]
fn documents_that_are_no_policies_are_refused() {
    let error = |text: &str| Policy::parse(text.as_bytes(), BUCKET).unwrap_err().to_string();
    assert_eq!(error("[]"), "Policies must be valid JSON and the first byte must be '{'");
    assert_eq!(error(r#"{"Statement":[]}"#), "Could not parse the policy: Statement is empty!");
    assert_eq!(error(r#"{"Version":"2012-10-17"}"#), "Missing required field Statement");
    assert_eq!(
        error(r#"{"Version":"2013-01-01","Statement":[]}"#),
        "The policy must contain a valid version string"
    );
    assert!(error(r#"{"Statement":[],"Statement":[]}"#).contains("duplicate element Statement"));
    assert!(
        error(&format!(r#"{{"Statement":{}{}}}"#, "[".repeat(5000), "]".repeat(5000))).contains("too deep")
    );
    assert!(error(&format!(r#"{{"Id":"{}"}}"#, "x".repeat(20 * 1024))).contains("maximum allowed size"));
    let identity = |text: &str| Policy::parse(text.as_bytes(), PolicyKind::Identity).unwrap_err().to_string();
    assert_eq!(
        identity(r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#),
        "Unknown field Principal"
    );
    assert_eq!(
        identity(r#"{"Statement":{"Effect":"Allow","Action":"*"}}"#),
        "Missing required field Resource"
    );
}

#[test]
fn a_policy_is_public_unless_its_conditions_name_who() {
    let with = |condition: &str| {
        bucket_policy(&format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"{condition}}}"#
        ))
        .unwrap()
        .is_public()
    };
    assert!(with(""));
    assert!(!grant(r#"{"AWS":"111122223333"}"#).is_public());
    assert!(!with(r#","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#));
    assert!(with(r#","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#));
    assert!(with(r#","Condition":{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","0.0.0.0/1"]}}"#));
    assert!(with(r#","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#));
    assert!(with(r#","Condition":{"IpAddressIfExists":{"aws:SourceIp":"192.0.2.0/24"}}"#));
    assert!(!with(r#","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-91237329"}}"#));
    assert!(with(r#","Condition":{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#));
    assert!(with(r#","Condition":{"StringEquals":{"aws:Referer":"https://example.com"}}"#));
}

/// Tags whose keys differ by case alone: what a variable stands for is not clear then.
#[test]
fn a_resource_named_by_a_tag_that_is_not_clear_was_passed_by_by_a_denial() {
    let decide = |effect: &str, element: &str, resources: &str, tags: &[(&str, &str)]| {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"*","{element}":{resources}}}}}"#
        );
        let policy = Policy::parse(policy.as_bytes(), PolicyKind::Identity).unwrap();
        let mut context = Context::new();
        context.set_tags("s3:ExistingObjectTag/", tags);
        let resource = "arn:aws:s3:::photos/red/a";
        evaluate([&policy], &PolicyRequest { action: "s3:GetObject", resource, context: &context })
    };
    let (clear, unclear) = ([("team", "red")], [("team", "red"), ("Team", "blue")]);
    let named = r#""arn:aws:s3:::photos/${s3:ExistingObjectTag/team}/*""#;
    let (allow, deny, none) = (Decision::Allow, Decision::ExplicitDeny, Decision::ImplicitDeny);
    for (effect, element, if_clear, if_unclear) in [
        ("Allow", "Resource", allow, none),
        ("Deny", "Resource", deny, deny),
        ("Allow", "NotResource", none, none),
        ("Deny", "NotResource", none, deny),
    ] {
        assert_eq!(decide(effect, element, named, &clear), if_clear, "{effect} {element}");
        assert_eq!(decide(effect, element, named, &unclear), if_unclear, "{effect} {element}");
    }
    let with_default = r#""arn:aws:s3:::photos/${s3:ExistingObjectTag/team, 'red'}/*""#;
    assert_eq!(decide("Allow", "Resource", with_default, &unclear), none);
    // What the tag cannot make fit, and what fits beside it, is clear.
    let of_another = r#""arn:aws:s3:::videos/${s3:ExistingObjectTag/team}/*""#;
    assert_eq!(decide("Deny", "Resource", of_another, &unclear), none);
    assert_eq!(decide("Allow", "NotResource", of_another, &unclear), allow);
    let beside = format!(r#"[{named},"arn:aws:s3:::photos/*/a"]"#);
    assert_eq!(decide("Allow", "Resource", &beside, &unclear), allow);
    assert_eq!(decide("Deny", "NotResource", &beside, &unclear), none);
}
