use super::{Condition, Context, Effect};
use crate::policy::PolicyError;

fn holds(operator: &str, key: &str, wanted: &[&str], given: &[&str]) -> bool {
    let mut context = Context::new();
    context.set_all("s3:Key", given.iter().map(|value| (*value).to_owned()).collect());
    Condition::parse(operator, key, wanted, true).unwrap().holds(&context, Effect::Allow)
}

fn is(operator: &str, wanted: &[&str], given: &[&str]) -> bool {
    holds(operator, "s3:key", wanted, given)
}

#[test]
fn one_of_several_values_is_enough_and_a_negation_needs_all() {
    assert!(is("StringEquals", &["a", "b"], &["b"]));
    assert!(!is("StringNotEquals", &["a", "b"], &["b"]));
    assert!(is("StringNotEquals", &["a", "b"], &["c"]));
    assert!(is("StringEqualsIgnoreCase", &["ABC"], &["abc"]));
    assert!(!is("StringEquals", &["a*"], &["ab"]));
    assert!(is("StringLike", &["a*"], &["ab"]));
    assert!(!is("StringNotLike", &["a*"], &["ab"]));
}

#[test]
fn a_missing_key_fails_a_comparison_and_meets_its_negation() {
    assert!(!is("StringEquals", &["a"], &[]));
    assert!(is("StringNotEquals", &["a"], &[]));
    assert!(is("StringEqualsIfExists", &["a"], &[]));
    assert!(!is("StringEqualsIfExists", &["a"], &["b"]));
    assert!(is("ForAllValues:StringEquals", &["a"], &[]));
    assert!(!is("ForAnyValue:StringEquals", &["a"], &[]));
    assert!(is("Null", &["true"], &[]) && !is("Null", &["false"], &[]));
    assert!(is("Null", &["false"], &["x"]) && !is("Null", &["true"], &["x"]));
}

#[test]
fn quantifiers_take_all_values_of_the_key() {
    assert!(is("ForAllValues:StringEquals", &["a", "b"], &["a", "b"]));
    assert!(!is("ForAllValues:StringEquals", &["a", "b"], &["a", "c"]));
    assert!(is("ForAnyValue:StringEquals", &["a"], &["a", "c"]));
    assert!(is("ForAnyValue:StringNotEquals", &["a"], &["a", "c"]));
    assert!(!is("ForAllValues:StringNotEquals", &["a"], &["a", "c"]));
    // Without a quantifier, no value may be one that is excluded.
    assert!(!is("StringNotEquals", &["a"], &["a", "c"]));
}

#[test]
fn numbers_and_dates_are_compared_exactly() {
    assert!(is("NumericLessThanEquals", &["10"], &["10.0"]));
    assert!(!is("NumericLessThan", &["10"], &["10"]));
    assert!(is("NumericEquals", &["9007199254740993"], &["9007199254740993"]));
    assert!(!is("NumericEquals", &["9007199254740993"], &["9007199254740992"]));
    assert!(is("NumericGreaterThan", &["-1.5"], &["-1.25"]));
    assert!(!is("NumericEquals", &["1"], &["one"]) && is("NumericNotEquals", &["1"], &["one"]));
    assert!(is("DateGreaterThan", &["2026-01-01T00:00:00Z"], &["2026-01-01T01:00:00+00:30"]));
    assert!(is("DateLessThan", &["2026-01-02"], &["2026-01-01T23:59:59Z"]));
    assert!(is("DateEquals", &["0"], &["1970-01-01T00:00:00Z"]));
}

/// AWS takes any of the W3C's forms: <https://www.w3.org/TR/NOTE-datetime>.
#[test]
fn policies_with_dates_without_seconds_or_without_a_day_were_refused() {
    assert!(is("DateEquals", &["2026-02-28T12:30Z"], &["2026-02-28T12:30:00Z"]));
    assert!(is("DateEquals", &["2026-02-28T12:30+01:00"], &["2026-02-28T11:30:00Z"]));
    assert!(is("DateEquals", &["2026-02-28T12:30-01:00"], &["2026-02-28T13:30:00Z"]));
    assert!(is("DateEquals", &["2026-02"], &["2026-02-01T00:00:00Z"]));
    assert!(is("DateLessThan", &["2026-02"], &["2026-01-31T23:59Z"]));
    for text in
        ["2026-02-28T12:30", "2026-02-28T12Z", "2026-13", "2026-", "2026-02-28T12:30:Z", "2026-02-28T12:é0Z"]
    {
        assert!(Condition::parse("DateEquals", "s3:key", &[text], true).is_err(), "{text}");
    }
}

#[test]
fn networks_booleans_and_bytes_are_compared_by_value() {
    assert!(is("IpAddress", &["10.1.2.0/24"], &["10.1.2.255"]));
    assert!(!is("IpAddress", &["10.1.2.0/24"], &["10.1.3.0"]));
    assert!(is("IpAddress", &["10.1.2.3"], &["::ffff:10.1.2.3"]));
    assert!(is("IpAddress", &["0.0.0.0/0"], &["192.0.2.1"]) && !is("IpAddress", &["0.0.0.0/0"], &["::1"]));
    assert!(is("IpAddress", &["2001:db8::/32"], &["2001:db8:1::1"]));
    assert!(is("NotIpAddress", &["10.0.0.0/8"], &["11.0.0.1"]));
    assert!(is("Bool", &["true"], &["TRUE"]) && !is("Bool", &["true"], &["yes"]));
    assert!(is("BinaryEquals", &["QmluYXJ5"], &["QmluYXJ5"]));
}

#[test]
fn arns_are_compared_part_by_part() {
    let user = "arn:aws:iam::123456789012:user/a:b";
    assert!(is("ArnLike", &["arn:aws:iam::*:user/*"], &[user]));
    assert!(is("ArnEquals", &["arn:aws:iam::123456789012:user/a:?"], &[user]));
    assert!(!is("ArnLike", &["arn:aws:iam::*:role/a"], &["arn:aws:iam::1:user/x:role/a"]));
    assert!(!is("ArnLike", &["arn:aws:*:*:*:x"], &["no arn"]));
    assert!(is("ArnNotLike", &["arn:aws:iam::*:role/*"], &[user]));
}

#[test]
fn what_no_operator_can_compare_is_refused() {
    for (operator, value) in [
        ("NumericEquals", "1e3"),
        ("DateEquals", "yesterday"),
        ("IpAddress", "10.0.0.0/33"),
        ("Bool", "maybe"),
        ("BinaryEquals", "*"),
        ("ArnEquals", "bucket"),
        ("Null", "perhaps"),
    ] {
        let error = Condition::parse(operator, "s3:key", &[value], true).unwrap_err();
        assert!(matches!(error, PolicyError::InvalidValue { .. }), "{operator}");
    }
    for operator in
        ["StringEqual", "stringEquals", "NullIfExists", "ForAllValues:Null", "ForSome:Bool", "IfExists"]
    {
        let error = Condition::parse(operator, "s3:key", &["true"], true).unwrap_err();
        assert!(matches!(error, PolicyError::InvalidOperator(_)), "{operator}");
    }
}

/// AWS: a condition on a tag of the request matches one whose key is `TagKey1` or `tagkey1`, but not both.
#[test]
fn the_last_of_several_tags_whose_keys_differ_by_case_alone_passed_for_all_of_them() {
    let of = |tags: &[(&str, &str)]| {
        let mut context = Context::new();
        context.set_tags("aws:RequestTag/", &[("old", "x")]);
        context.set_tags("aws:RequestTag/", tags);
        context
    };
    let holds = |operator: &str, wanted: &str, context: &Context, effect| {
        Condition::parse(operator, "aws:RequestTag/team", &[wanted], true).unwrap().holds(context, effect)
    };
    for one in [of(&[("team", "a"), ("other", "b")]), of(&[("Team", "a")])] {
        for effect in [Effect::Allow, Effect::Deny] {
            assert!(holds("StringEquals", "a", &one, effect) && !holds("StringEquals", "b", &one, effect));
            assert!(!holds("StringNotEquals", "a", &one, effect));
        }
        assert!(one.get("aws:requesttag/old").is_empty());
    }
    for both in [of(&[("team", "a"), ("Team", "b")]), of(&[("Team", "b"), ("team", "a")])] {
        for operator in ["StringEquals", "StringNotEquals", "StringLike", "StringEqualsIfExists"] {
            for wanted in ["a", "b", "c"] {
                assert!(!holds(operator, wanted, &both, Effect::Allow), "{operator} {wanted}");
                assert!(holds(operator, wanted, &both, Effect::Deny), "{operator} {wanted}");
            }
        }
        assert!(holds("Null", "false", &both, Effect::Allow) && !holds("Null", "true", &both, Effect::Deny));
        let by_variable = Condition::parse("StringEquals", "s3:prefix", &["${aws:RequestTag/team}"], true);
        assert!(!by_variable.unwrap().holds(&both, Effect::Allow));
        let of_another = Condition::parse("StringEquals", "s3:prefix", &["x"], true).unwrap();
        assert!(!of_another.holds(&both, Effect::Deny));
    }
}

#[test]
fn tags_whose_keys_differ_by_case_alone_broke_conditions_on_every_tag_whose_key_begins_so() {
    let mut context = Context::new();
    context.set_tags("aws:RequestTag/", &[("t", "a"), ("T", "b"), ("team", "red")]);
    context.set("s3:prefix", "red");
    for (key, wanted) in [("aws:RequestTag/team", "red"), ("s3:prefix", "${aws:RequestTag/Team}")] {
        let condition = Condition::parse("StringEquals", key, &[wanted], true).unwrap();
        assert!(condition.holds(&context, Effect::Allow), "{key}");
        let other = Condition::parse("StringNotEquals", key, &[wanted], true).unwrap();
        assert!(!other.holds(&context, Effect::Deny), "{key}");
    }
    for (key, wanted) in [("aws:RequestTag/t", "a"), ("s3:prefix", "${aws:RequestTag/t, 'red'}")] {
        let condition = Condition::parse("StringEquals", key, &[wanted], true).unwrap();
        assert!(!condition.holds(&context, Effect::Allow), "{key}");
        assert!(condition.holds(&context, Effect::Deny), "{key}");
    }
}
