//! Policies that are made of the input, byte by byte: the evaluator says what a naive one says.
//!
//! Input: each byte chooses one of what may come next; when it ends, the first of each is chosen.

use granary_auth::policy::{
    Caller, Named, Policy, PolicyKind, PolicyRequest, with_current_arns, with_unique_ids,
};
use serde_json::{Value, json};

#[path = "evaluate_conditions.rs"]
mod conditions;
#[path = "naive.rs"]
pub(crate) mod naive;

const USER: &str = "arn:aws:iam::111122223333:user/u";
const RENAMED: &str = "arn:aws:iam::111122223333:user/v";
const USER_ID: &str = "AIDAAAAAAAAAAAAAAAAAU";
const ACTIONS: [&str; 4] = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectTagging"];
const RESOURCES: [&str; 4] =
    ["arn:aws:s3:::b/a", "arn:aws:s3:::b/ab", "arn:aws:s3:::b/c", "arn:aws:s3:::b/*"];
const PRINCIPALS: [&str; 5] = [
    r#""*""#,
    r#"{"AWS":"arn:aws:iam::111122223333:user/u"}"#,
    r#"{"AWS":["111122223333"]}"#,
    r#"{"CanonicalUser":"abc"}"#,
    r#"{"AWS":["AIDAAAAAAAAAAAAAAAAAU","AIDAAAAAAAAAAAAAAAAAX"]}"#,
];
const ACTION_PATTERNS: [&str; 6] =
    ["s3:GetObject", "s3:Get*", "s3:*", "s3:P?tObject", "s3:*Object*", "s3:DeleteObject"];
const RESOURCE_PATTERNS: [&str; 9] = [
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/a?",
    "arn:aws:s3:::b/a",
    "*",
    "arn:aws:s3:::b/*b*",
    "arn:aws:s3:::b/?",
    "arn:aws:s3:::b/${aws:username}",
    "arn:aws:s3:::b/${s3:prefix, 'c'}*",
    "arn:aws:s3:::b/${*}",
];

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

    /// A statement that says something of each request, on conditions.
    fn conditional(&mut self) -> Value {
        let effect = if self.is_so() { "Deny" } else { "Allow" };
        let conditions = conditions::conditions(self);
        json!({ "Effect": effect, "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": conditions })
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
            statement["Condition"] = conditions::conditions(self);
        }
        statement
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices(data.iter());
    let context = conditions::context(&mut choices);
    let caller = if choices.is_so() {
        Caller::User { account: "111122223333", canonical: "abc", arn: USER, id: USER_ID }
    } else {
        Caller::Anonymous
    };
    let request =
        PolicyRequest { action: choices.of(&ACTIONS), resource: choices.of(&RESOURCES), context: &context };
    let statements: Vec<_> = if choices.is_so() {
        (0..=choices.below(4)).map(|_| choices.statement()).collect()
    } else {
        vec![choices.conditional()]
    };
    let version = choices.of(&["2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17"]);
    let policy = json!({ "Version": version, "Statement": statements });
    let read = |text: &str| {
        let document = Policy::parse(text.as_bytes(), PolicyKind::Bucket("b"));
        document.unwrap_or_else(|error| panic!("{error}: {policy}"))
    };
    let document = read(&policy.to_string());
    let (said, naively) = (document.decide(&caller, &request), naive::decide(&policy, &caller, &request));
    assert_eq!(said, naively, "{policy} with {context:?}");
    // Kept by ids it says the same, and of a user who got another name too; shown with ARNs it still does.
    let kept = with_unique_ids(document.text(), |_| Named::Id(USER_ID.to_owned())).unwrap();
    let renamed = match caller {
        Caller::User { account, canonical, id, .. } => Caller::User { account, canonical, arn: RENAMED, id },
        other => other,
    };
    assert_eq!(read(&kept).decide(&renamed, &request), said, "{kept} with {context:?}");
    let shown = with_current_arns(&kept, |id| (id == USER_ID).then(|| USER.to_owned()));
    assert_eq!(read(&shown).decide(&caller, &request), said, "{shown} with {context:?}");
}
