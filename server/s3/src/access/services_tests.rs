use granary_auth::policy::{Policy, PolicyKind, Sids};
use granary_types::BucketName;

use super::super::owner::Owner;
use super::super::payment::Payer;
use super::super::rules::Block;
use super::*;
use crate::locks::Digest;
use crate::new_buckets::ObjectOwnership;

/// A bucket of an account whose policy has these statements.
fn rules(bucket: &str, account: char, statements: &str) -> Rules {
    let policy = match statements {
        "" => Stored::Absent,
        text => {
            let text = format!(r#"{{"Version":"2012-10-17","Statement":[{text}]}}"#);
            Stored::Present(
                Policy::parse_with(text.as_bytes(), PolicyKind::Bucket(bucket), Sids::Any).unwrap(),
            )
        }
    };
    let repeated = |count| std::iter::repeat_n(account, count).collect::<String>();
    Rules {
        owner: Owner { account: repeated(12), canonical: repeated(64), display_name: String::new() },
        policy,
        policy_is_public: false,
        block: Block::default(),
        ownership: ObjectOwnership::BucketOwnerEnforced,
        acl: Stored::Absent,
        bucket: BucketName::new(bucket).unwrap(),
        requests_per_s: None,
        tells_events: false,
        payer: Payer::Owner,
        logging: None,
        region: String::new(),
        digest: Digest::Optional,
    }
}

fn statement(effect: &str, principal: &str, resource: &str, account: &str) -> String {
    format!(
        r#"{{"Sid":"s","Effect":"{effect}","Principal":{principal},"Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/{resource}",
            "Condition":{{"ArnLike":{{"aws:SourceArn":"arn:aws:s3:::source"}},"StringEquals":{{"aws:SourceAccount":"{account}"}}}}}}"#
    )
}

const SERVICE: &str = r#"{"Service":"logging.s3.amazonaws.com"}"#;

#[test]
fn ceph_lets_logs_in_by_a_policy_for_their_prefix_alone() {
    let source = rules("source", '1', "");
    let (number, canonical) = ("1".repeat(12), "1".repeat(64));
    let lets_in = |statements: &str| may_log_below(&source, (&rules("logs", '2', statements), "log/"));
    let allow = |resource: &str, account: &str| statement("Allow", SERVICE, resource, account);
    assert!(!lets_in(""));
    assert!(lets_in(&allow("log/", &number)) && lets_in(&allow("log/*", &canonical)));
    let other = allow("log/", &"3".repeat(12));
    assert!(lets_in(&format!("{},{other}", allow("log/", &canonical))));
    for refused in [
        other,
        allow("other/", &number),
        statement("Allow", r#"{"AWS":"*"}"#, "log/", &number),
        statement("Allow", r#"{"Service":"s3.amazonaws.com"}"#, "log/", &number),
        format!("{},{}", allow("log/", &number), statement("Deny", r#""*""#, "*", &canonical)),
    ] {
        assert!(!lets_in(&refused), "{refused}");
    }
    // What is for the prefix alone lets no key in where AWS's rules hold.
    let key = ObjectKey::new("log/2026").unwrap();
    let by_aws = |statements: &str| may_write(LOGGING, &source, (&rules("logs", '1', statements), &key));
    assert!(by_aws(&allow("log/*", &number)));
    assert!(!by_aws(&allow("log/", &number)) && !by_aws(&allow("log/*", &canonical)));
}

/// Who was left out by one of its names was let in by the other.
#[test]
fn ceph_keeps_out_whom_a_policy_for_all_others_leaves_out() {
    let source = rules("source", '1', "");
    let other_than = |effect: &str, account: char, length| {
        let account = std::iter::repeat_n(account, length).collect::<String>();
        let equals = statement(effect, SERVICE, "log/*", &account);
        equals.replace("StringEquals", "StringNotEquals")
    };
    let lets_in = |statements: &str| may_log_below(&source, (&rules("logs", '2', statements), "log/"));
    for length in [12, 64] {
        assert!(!lets_in(&other_than("Allow", '1', length)), "{length}");
        assert!(lets_in(&other_than("Allow", '3', length)), "{length}");
        let allow = other_than("Allow", '3', length);
        assert!(lets_in(&format!("{allow},{}", other_than("Deny", '1', length))), "all but it are denied");
        assert!(!lets_in(&format!("{allow},{}", other_than("Deny", '3', length))), "all but another are");
        let denied = statement("Deny", SERVICE, "log/*", &"1".repeat(length));
        assert!(!lets_in(&format!("{allow},{denied}")), "it is denied by name");
    }
}
