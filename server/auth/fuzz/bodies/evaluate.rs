//! Policies that are made of the input, byte by byte: the evaluator says what a naive one says.
//!
//! Input: each byte chooses one of what may come next; when it ends, the first of each is chosen.

use granary_auth::policy::{Caller, Context, Policy, PolicyKind, PolicyRequest};
use serde_json::{Value, json};

#[path = "naive.rs"]
mod naive;

const USER: &str = "arn:aws:iam::111122223333:user/u";
const ACTIONS: [&str; 4] = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectTagging"];
const RESOURCES: [&str; 3] = ["arn:aws:s3:::b/a", "arn:aws:s3:::b/ab", "arn:aws:s3:::b/c"];
const PRINCIPALS: [&str; 4] = [
    r#""*""#,
    r#"{"AWS":"arn:aws:iam::111122223333:user/u"}"#,
    r#"{"AWS":["111122223333"]}"#,
    r#"{"CanonicalUser":"abc"}"#,
];
const ACTION_PATTERNS: [&str; 6] =
    ["s3:GetObject", "s3:Get*", "s3:*", "s3:P?tObject", "s3:*Object*", "s3:DeleteObject"];
const RESOURCE_PATTERNS: [&str; 6] = [
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/a?",
    "arn:aws:s3:::b/a",
    "*",
    "arn:aws:s3:::b/*b*",
    "arn:aws:s3:::b/?",
];
const KEYS: [&str; 3] = ["s3:prefix", "aws:UserAgent", "s3:RequestObjectTagKeys"];
const VALUES: [&str; 6] = ["a", "a*", "b", "?", "*b*a", "ab"];

struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % end)
    }

    fn of(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn is_so(&mut self) -> bool {
        self.below(2) == 1
    }

    /// One of them alone, or a list of some.
    fn one_or_more(&mut self, from: &[&'static str]) -> Value {
        match self.below(4) {
            0 => json!(self.of(from)),
            count => json!((0..count).map(|_| self.of(from)).collect::<Vec<_>>()),
        }
    }

    fn statement(&mut self) -> Value {
        let (deny, but) = (self.is_so(), self.is_so());
        let principal: Value = serde_json::from_str(self.of(&PRINCIPALS)).unwrap();
        let mut statement = json!({
            "Effect": if deny { "Deny" } else { "Allow" },
            (if but && deny { "NotPrincipal" } else { "Principal" }): principal,
            (if self.is_so() { "NotAction" } else { "Action" }): self.one_or_more(&ACTION_PATTERNS),
            (if self.is_so() { "NotResource" } else { "Resource" }): self.one_or_more(&RESOURCE_PATTERNS),
        });
        if self.is_so() {
            let (operator, key) = (self.of(&naive::OPERATORS), self.of(&KEYS));
            statement["Condition"] = json!({ operator: { key: self.one_or_more(&VALUES) } });
        }
        statement
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices(data.iter());
    let mut context = Context::new();
    if choices.is_so() {
        context.set("s3:Prefix", choices.of(&VALUES));
    }
    let tags = (0..choices.below(3)).map(|_| choices.of(&VALUES).to_owned()).collect();
    context.set_all("s3:requestobjecttagkeys", tags);
    let caller = if choices.is_so() {
        Caller::User { account: "111122223333", canonical: "abc", arn: USER }
    } else {
        Caller::Anonymous
    };
    let request =
        PolicyRequest { action: choices.of(&ACTIONS), resource: choices.of(&RESOURCES), context: &context };
    let statements: Vec<_> = (0..=choices.below(4)).map(|_| choices.statement()).collect();
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    let document = Policy::parse(policy.to_string().as_bytes(), PolicyKind::Bucket("b")).unwrap();
    assert_eq!(document.decide(&caller, &request), naive::decide(&policy, &caller, &request), "{policy}");
}
