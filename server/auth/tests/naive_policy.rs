//! The evaluator and the naive one that the fuzz target compares it with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test helper that panics fails its test.

#[path = "../fuzz/bodies/evaluate.rs"]
mod evaluate;

use evaluate::naive;
use granary_auth::policy::{Caller, Context, Grant, Policy, PolicyKind, PolicyRequest, ResourceDecision};
use proptest::prelude::*;
use serde_json::{Value, json};

const USER: &str = "arn:aws:iam::111122223333:user/u";

/// What both evaluators say of conditions, with a user named `a*`.
fn hold(conditions: &Value, given: &[(&str, &[&str])]) -> bool {
    let mut context = Context::new();
    context.set("aws:username", "a*");
    for (key, values) in given {
        context.set_all(key, values.iter().map(|value| (*value).to_owned()).collect());
    }
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": conditions },
    ]});
    let document = Policy::parse(policy.to_string().as_bytes(), PolicyKind::Bucket("b")).unwrap();
    let request = PolicyRequest { action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &context };
    let said = document.decide(&Caller::Anonymous, &request);
    assert_eq!(naive::decide(&policy, &Caller::Anonymous, &request), said, "{conditions} with {given:?}");
    said == ResourceDecision::Allow(Grant::Anyone)
}

/// An operator, what a policy wants, values that meet it, and values that do not.
type Row = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// Every operator that has no opposite. Those that have one are tried with it too.
const ROWS: &[Row] = &[
    ("StringEquals", &["a", "b*"], &["a", "b*"], &["A", "ab", "bc"]),
    (
        "StringEquals",
        &["${aws:username}", "${*}", "${aws:userid, 'x'}"],
        &["a*", "*", "x"],
        &["ab", "a", "?"],
    ),
    ("StringEqualsIgnoreCase", &["aB", "É"], &["ab", "AB", "é"], &["abc", "e"]),
    ("StringLike", &["a*", "?b"], &["a", "abc", "éb"], &["A", "b", "xbc"]),
    ("StringLike", &["${aws:username}?", "${*}*"], &["a*b", "*b"], &["a*", "abc"]),
    ("NumericEquals", &["10", "-1.50"], &["10", "10.0", "010", "-1.5"], &["1", "-10", "ten"]),
    ("NumericLessThan", &["10"], &["9.99", "-11"], &["10", "10.01", "ten"]),
    ("NumericLessThanEquals", &["10"], &["10", "-11"], &["10.01"]),
    ("NumericGreaterThan", &["-1.5"], &["-1.25", "0"], &["-1.5", "-2", "ten"]),
    ("NumericGreaterThanEquals", &["-1.5"], &["-1.5", "3"], &["-1.51"]),
    (
        "DateEquals",
        &["2020-02-29T12:00:00Z"],
        &["1582977600", "2020-02-29T13:30+01:30"],
        &["2020-02-29", "x"],
    ),
    ("DateEquals", &["2020-03"], &["2020-03-01", "2020-02-29T23:00:00.000-01:00"], &["2020-03-02"]),
    ("DateLessThan", &["0"], &["1969-12-31T23:59:59.5Z", "-1"], &["1970-01-01", "x"]),
    ("DateLessThanEquals", &["1970-01-01"], &["0", "-1"], &["1"]),
    ("DateGreaterThan", &["2020-02-29T12:00Z"], &["2020-02-29T12:00:00.5Z", "2100-01-01"], &["1582977600"]),
    ("DateGreaterThanEquals", &["2020-02-29T12:00Z"], &["1582977600"], &["1582977599"]),
    ("Bool", &["true"], &["true", "True"], &["false", "1"]),
    ("BinaryEquals", &["QmluYXJ5"], &["QmluYXJ5"], &["QmluYXJ6", "binary"]),
    (
        "IpAddress",
        &["203.0.113.0/24", "192.0.2.1"],
        &["203.0.113.1", "192.0.2.1"],
        &["203.0.112.1", "::1", "x"],
    ),
    (
        "IpAddress",
        &["2001:DB8:1234:5678::/64"],
        &["2001:db8:1234:5678::9"],
        &["2001:db8:1234:5679::", "1.2.3.4"],
    ),
    ("IpAddress", &["0.0.0.0/0", "::1"], &["1.2.3.4", "::ffff:1.2.3.4", "::1"], &["::2"]),
    ("ArnEquals", &["arn:aws:iam::*:user/?"], &[USER], &["arn:aws:iam::1:role/x:user/u", "arn:aws:iam::1"]),
    ("ArnLike", &["arn:aws:s3:::${aws:username}*"], &["arn:aws:s3:::a*:b"], &["arn:aws:s3:::ab"]),
];

/// The opposite of an operator, if it has one.
fn opposite(operator: &str) -> Option<String> {
    let has_none = operator.starts_with('B') || operator.contains("Than");
    (!has_none).then(|| match operator {
        "IpAddress" => "NotIpAddress".to_owned(),
        other => other.replace("Equals", "NotEquals").replace("Like", "NotLike"),
    })
}

fn holds(operator: &str, wanted: &[&str], given: &[&str]) -> bool {
    hold(&json!({ operator: { "aws:UserAgent": wanted } }), &[("aws:useragent", given)])
}

#[test]
fn every_operator_compares_as_aws_documents_it() {
    for (operator, wanted, fitting, unfitting) in ROWS {
        let not = opposite(operator);
        for (values, fits) in [(fitting, true), (unfitting, false)] {
            for value in *values {
                for set in ["", "ForAllValues:", "ForAnyValue:"] {
                    for end in ["", "IfExists"] {
                        let name = format!("{set}{operator}{end}");
                        assert_eq!(holds(&name, wanted, &[value]), fits, "{name} {wanted:?} {value}");
                        let Some(not) = &not else { continue };
                        let name = format!("{set}{not}{end}");
                        assert_eq!(holds(&name, wanted, &[value]), !fits, "{name} {wanted:?} {value}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_operator_takes_a_missing_key_as_aws_documents_it() {
    for (operator, wanted, ..) in ROWS {
        let not = opposite(operator);
        for (name, is_negated) in [(Some(&(*operator).to_owned()), false), (not.as_ref(), true)] {
            let Some(name) = name else { continue };
            assert_eq!(holds(name, wanted, &[]), is_negated, "{name}");
            assert!(holds(&format!("ForAllValues:{name}"), wanted, &[]), "{name}");
            assert!(!holds(&format!("ForAnyValue:{name}"), wanted, &[]), "{name}");
            for set in ["", "ForAllValues:", "ForAnyValue:"] {
                assert!(holds(&format!("{set}{name}IfExists"), wanted, &[]), "{name}");
            }
        }
    }
    assert!(holds("Null", &["true"], &[]) && !holds("Null", &["false"], &[]));
    assert!(!holds("Null", &["true"], &["x"]) && holds("Null", &["false"], &["x"]));
}

#[test]
fn every_operator_takes_several_values_as_aws_documents_it() {
    for (operator, wanted, fitting, unfitting) in ROWS {
        let mixed = [fitting[0], unfitting[0]];
        let sets = [("ForAllValues:", false), ("ForAnyValue:", true)];
        for (set, holds_mixed) in sets {
            assert!(holds(&format!("{set}{operator}"), wanted, fitting), "{operator}");
            assert!(!holds(&format!("{set}{operator}"), wanted, unfitting), "{operator}");
            assert_eq!(holds(&format!("{set}{operator}"), wanted, &mixed), holds_mixed, "{operator}");
            let Some(not) = opposite(operator) else { continue };
            assert!(!holds(&format!("{set}{not}"), wanted, fitting), "{not}");
            assert!(holds(&format!("{set}{not}"), wanted, unfitting), "{not}");
            assert_eq!(holds(&format!("{set}{not}"), wanted, &mixed), holds_mixed, "{not}");
        }
    }
}

#[test]
fn all_operators_and_all_keys_of_a_condition_must_hold() {
    let conditions = json!({
        "StringEquals": { "s3:prefix": ["a", "b"], "s3:delimiter": "/" },
        "NumericLessThanEquals": { "s3:max-keys": 10 },
        "Bool": { "aws:SecureTransport": true },
        "Null": { "aws:TokenIssueTime": true },
    });
    let good: [(&str, &[&str]); 4] = [
        ("s3:prefix", &["b"]),
        ("s3:delimiter", &["/"]),
        ("s3:max-keys", &["10"]),
        ("aws:SecureTransport", &["true"]),
    ];
    assert!(hold(&conditions, &good));
    for at in 0..good.len() {
        let mut bad = good;
        bad[at].1 = &["11"];
        assert!(!hold(&conditions, &bad), "{bad:?}");
        bad[at].1 = &[];
        assert!(!hold(&conditions, &bad), "{bad:?}");
    }
    let mut session = good.to_vec();
    session.push(("aws:TokenIssueTime", &["2020-01-01T00:00:01Z"]));
    assert!(!hold(&conditions, &session));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]
    #[test]
    fn the_evaluator_says_what_a_naive_one_says(choices in prop::collection::vec(any::<u8>(), 0..200)) {
        evaluate::run(&choices);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        for kind in [PolicyKind::Identity, PolicyKind::Bucket("b"), PolicyKind::Trust] {
            let _ = Policy::parse(text.as_bytes(), kind);
        }
    }
}
