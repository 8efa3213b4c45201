//! The evaluator against a naive one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test helper that panics fails its test.

#[path = "../fuzz/bodies/naive.rs"]
mod naive;

use granary_auth::policy::{Caller, Context, Policy, PolicyKind, PolicyRequest};
use proptest::prelude::*;
use serde_json::{Value, json};

const ACTIONS: [&str; 4] = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectTagging"];
const RESOURCES: [&str; 3] = ["arn:aws:s3:::b/a", "arn:aws:s3:::b/ab", "arn:aws:s3:::b/c"];
const USER: &str = "arn:aws:iam::111122223333:user/u";

fn one_or_more(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(values).prop_map(|one| json!(one)),
        prop::sample::subsequence(values, 1..=values.len()).prop_map(|some| json!(some)),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let keys = vec!["s3:prefix", "aws:UserAgent", "s3:RequestObjectTagKeys"];
    let operator = prop::sample::select(naive::OPERATORS.to_vec());
    let key = prop::sample::select(keys);
    (operator, key, one_or_more(&["a", "a*", "b", "?"]))
        .prop_map(|(operator, key, values)| json!({ operator: { key: values } }))
}

fn statement() -> impl Strategy<Value = Value> {
    let principal = prop_oneof![
        Just(json!("*")),
        Just(json!({ "AWS": USER })),
        Just(json!({ "AWS": ["111122223333", "444455556666"] })),
        Just(json!({ "CanonicalUser": "abc" })),
    ];
    let actions = one_or_more(&["s3:GetObject", "s3:Get*", "s3:*", "s3:P?tObject", "s3:DeleteObject"]);
    let resources = one_or_more(&["arn:aws:s3:::b/*", "arn:aws:s3:::b/a?", "arn:aws:s3:::b/a", "*"]);
    let bits = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (principal, actions, resources, prop::option::of(condition()), bits).prop_map(
        |(principal, actions, resources, condition, (deny, not_principal, not_action, not_resource))| {
            let mut statement = json!({
                "Effect": if deny { "Deny" } else { "Allow" },
                (if not_principal && deny { "NotPrincipal" } else { "Principal" }): principal,
                (if not_action { "NotAction" } else { "Action" }): actions,
                (if not_resource { "NotResource" } else { "Resource" }): resources,
            });
            if let Some(condition) = condition {
                statement["Condition"] = condition;
            }
            statement
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn the_evaluator_says_what_a_naive_one_says(
        statements in prop::collection::vec(statement(), 1..4),
        (action, resource, signed) in (0..ACTIONS.len(), 0..RESOURCES.len(), any::<bool>()),
        prefix in prop::option::of("[abc]{0,2}"),
        tags in prop::collection::vec("[abc]{1,2}", 0..3),
    ) {
        let policy = json!({ "Version": "2012-10-17", "Statement": statements });
        let document = Policy::parse(policy.to_string().as_bytes(), PolicyKind::Bucket("b")).unwrap();
        let mut context = Context::new();
        if let Some(prefix) = prefix {
            context.set("s3:Prefix", prefix);
        }
        context.set_all("s3:requestobjecttagkeys", tags);
        let caller = if signed {
            Caller::User { account: "111122223333", canonical: "abc", arn: USER }
        } else {
            Caller::Anonymous
        };
        let request = PolicyRequest { action: ACTIONS[action], resource: RESOURCES[resource], context: &context };
        prop_assert_eq!(document.decide(&caller, &request), naive::decide(&policy, &caller, &request));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        for kind in [PolicyKind::Identity, PolicyKind::Bucket("b"), PolicyKind::Trust] {
            let _ = Policy::parse(text.as_bytes(), kind);
        }
    }
}
