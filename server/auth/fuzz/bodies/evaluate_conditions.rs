//! Conditions for [`super`], and requests that they are likely to hold for: operators of one kind, keys of that kind, and
//! few values, of which many are the same in different words.
//!
//! No key has an empty value, no date is a year alone and no variable is in a boolean: of these AWS's documentation says
//! one thing here and another there.

use granary_auth::policy::Context;
use serde_json::{Value, json};

use super::{Choices, USER};

/// What operators of a kind compare.
struct Kind {
    operators: &'static [&'static str],
    keys: &'static [&'static str],
    given: &'static [&'static str],
    wanted: &'static [&'static str],
}

const KINDS: [Kind; 8] = [
    Kind {
        operators: &[
            "StringEquals",
            "StringNotEquals",
            "StringLike",
            "StringNotLike",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
        ],
        keys: &["s3:prefix", "aws:UserAgent", "s3:RequestObjectTagKeys"],
        given: &["a", "ab", "b", "A", "*", "É", "é", "b:a"],
        wanted: &[
            "a",
            "a*",
            "b",
            "?",
            "*b*a",
            "AB",
            "É",
            "${aws:username}",
            "${AWS:username}*",
            "${*}",
            "${?}${$}",
            "${aws:userid, 'b'}",
            "${s3:RequestObjectTagKeys}",
        ],
    },
    Kind {
        operators: &["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"],
        keys: &["aws:PrincipalArn", "aws:SourceArn"],
        given: &[
            USER,
            "arn:aws:iam::1:role/b:a",
            "arn:aws:iam::1:user/x:role/b",
            "arn:aws:s3:::b",
            "arn:aws",
        ],
        wanted: &[
            "*",
            USER,
            "arn:aws:iam::*:user/*",
            "arn:*:iam::1:*/?:a",
            "arn:aws:iam::*:role/*",
            "arn:aws:iam::1:role/${aws:username}",
            "arn:aws:s3:*::${s3:prefix, 'b'}",
            "arn:aws:iam::?:*",
        ],
    },
    Kind {
        operators: &[
            "NumericEquals",
            "NumericNotEquals",
            "NumericLessThan",
            "NumericLessThanEquals",
            "NumericGreaterThan",
            "NumericGreaterThanEquals",
        ],
        keys: &["s3:max-keys", "s3:signatureAge"],
        given: &["10", "9.5", "10.0", "-1", "-1.25", "010", "x", "0"],
        wanted: &["10", "9.50", "-1", "-1.5", "0", "-0"],
    },
    Kind {
        operators: &[
            "DateEquals",
            "DateNotEquals",
            "DateLessThan",
            "DateLessThanEquals",
            "DateGreaterThan",
            "DateGreaterThanEquals",
        ],
        keys: &["aws:CurrentTime", "aws:EpochTime", "aws:TokenIssueTime"],
        given: &[
            "2020-02-29T12:00:00Z",
            "1582977600",
            "2020-02-29T12:00:00.5Z",
            "2020-02-01T00:00:00Z",
            "-1",
            "x",
        ],
        wanted: &[
            "2020-02-29T12:00:00Z",
            "2020-02-29T13:30:00.5+01:30",
            "2020-02-29T07:00-05:00",
            "2020-02-29T12:00Z",
            "2020-02-29",
            "2020-02",
            "1582977600",
            "1969-12-31T23:59:59Z",
            "1900-03-01",
        ],
    },
    Kind {
        operators: &["Bool"],
        keys: &["aws:SecureTransport", "aws:ViaAWSService"],
        given: &["true", "false", "TRUE", "x"],
        wanted: &["true", "false", "True"],
    },
    Kind {
        operators: &["BinaryEquals"],
        keys: &["aws:userid", "s3:VersionId"],
        given: &["QmluYXJ5", "QQ==", "QUI=", "b"],
        wanted: &["QmluYXJ5", "QQ==", "QUI="],
    },
    Kind {
        operators: &["IpAddress", "NotIpAddress"],
        keys: &["aws:SourceIp", "aws:VpcSourceIp"],
        given: &["10.1.2.3", "10.1.3.200", "::ffff:10.1.2.3", "2001:db8::1", "2001:db8:8000::1", "x"],
        wanted: &[
            "10.1.2.0/24",
            "10.1.2.3",
            "10.1.2.3/32",
            "128.0.0.0/1",
            "0.0.0.0/0",
            "::/0",
            "2001:DB8::/33",
            "2001:db8::1",
            "2001:db8:8000::/127",
        ],
    },
    Kind {
        operators: &["Null"],
        keys: &["s3:prefix", "aws:SourceIp", "aws:CurrentTime", "s3:RequestObjectTagKeys"],
        given: &[],
        wanted: &["true", "false"],
    },
];

/// The values of keys of a request.
pub(super) fn context(choices: &mut Choices<'_>) -> Context {
    let mut context = Context::new();
    if choices.is_so() {
        context.set("aws:Username", choices.of(&["a", "b", "*", "b:a"]));
    }
    for kind in KINDS.iter().filter(|kind| !kind.given.is_empty()) {
        for key in kind.keys {
            let values = (0..choices.below(3)).map(|_| choices.of(kind.given).to_owned());
            context.set_all(key, values.collect());
        }
    }
    context
}

/// A condition element: one operator and key, or several of each.
pub(super) fn conditions(choices: &mut Choices<'_>) -> Value {
    let mut conditions = json!({});
    for _ in 0..=choices.below(3) {
        let kind = &KINDS[choices.below(KINDS.len())];
        let operator = operator(choices, kind);
        for _ in 0..=choices.below(2) {
            // What has values of another kind is compared as well.
            let keys = if choices.below(8) == 1 { KINDS[choices.below(KINDS.len())].keys } else { kind.keys };
            let key = choices.of(keys);
            let key = if choices.is_so() { key.to_lowercase() } else { key.to_owned() };
            let is_null = operator == "Null";
            let wanted =
                if is_null { json!(choices.of(kind.wanted)) } else { choices.one_or_more(kind.wanted) };
            conditions[&operator][key] = if choices.is_so() { unquoted(wanted) } else { wanted };
        }
    }
    conditions
}

fn operator(choices: &mut Choices<'_>, kind: &Kind) -> String {
    let name = choices.of(kind.operators);
    if name == "Null" {
        return name.to_owned();
    }
    let set = choices.of(&["", "ForAllValues:", "ForAnyValue:"]);
    format!("{set}{name}{}", choices.of(&["", "IfExists"]))
}

/// Numbers and booleans as JSON has them, where that writes them the same.
fn unquoted(value: Value) -> Value {
    match value {
        Value::Array(list) => list.into_iter().map(unquoted).collect(),
        Value::String(text) => match serde_json::from_str::<Value>(&text) {
            Ok(scalar) if scalar.to_string().as_str() == text => scalar,
            _ => Value::String(text),
        },
        other => other,
    }
}
