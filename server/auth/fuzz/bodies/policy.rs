//! Any text as a policy, and any request put to it: never a panic, and the same answer when it is read again. A policy
//! that denies without condition lets nobody in, whatever else it says.
//!
//! Input: a line with the action, the resource and a value of every key, separated by blanks; then the policy.

use granary_auth::policy::{
    Caller, Context, Decision, Policy, PolicyKind, PolicyRequest, ResourceDecision, evaluate,
};

const USER: Caller<'_> =
    Caller::User { account: "111122223333", canonical: "aa11", arn: "arn:aws:iam::111122223333:user/alice" };

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((head, policy)) = text.split_once('\n') else { return };
    let mut words = head.split(' ');
    let (action, resource) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut context = Context::new();
    let values: Vec<String> = words.map(str::to_owned).collect();
    for key in ["s3:prefix", "aws:SourceIp", "aws:CurrentTime", "s3:max-keys", "aws:username"] {
        context.set_all(key, values.clone());
    }
    let request = PolicyRequest { action, resource, context: &context };
    if let Ok(document) = Policy::parse(policy.as_bytes(), PolicyKind::Identity) {
        let decision = evaluate([&document], &request);
        let again =
            Policy::parse(document.text().as_bytes(), PolicyKind::Identity).expect("it was read before");
        assert_eq!(evaluate([&again], &request), decision);
        let deny = r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;
        let deny = Policy::parse(deny.as_bytes(), PolicyKind::Identity).expect("a policy");
        assert_eq!(evaluate([&document, &deny], &request), Decision::ExplicitDeny);
    }
    let _ = Policy::parse(policy.as_bytes(), PolicyKind::Trust);
    if let Ok(document) = Policy::parse(policy.as_bytes(), PolicyKind::Bucket("photos")) {
        let anonymous = document.decide(&Caller::Anonymous, &request);
        if let ResourceDecision::Allow(_) = anonymous {
            // Nobody is let in who is not named, unless the policy names everyone.
            assert!(policy.contains('*'));
        }
        let _ = (document.decide(&USER, &request), document.is_public());
    }
}
