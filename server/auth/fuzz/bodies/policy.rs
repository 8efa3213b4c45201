//! Any text as a policy, and any request put to it: never a panic, and the same answer when it is read again. A policy
//! that denies without condition lets nobody in, whatever else it says.
//!
//! Input: a line with the action, the resource and a value of every key, separated by blanks; then the policy.

use granary_auth::policy::{
    Caller, Context, Decision, Named, POLICY_BYTES_MAX, Policy, PolicyKind, PolicyRequest, ResourceDecision,
    evaluate, with_current_arns, with_unique_ids,
};

const USER: Caller<'_> =
    Caller::User { account: "111122223333", canonical: "aa11", arn: USER_ARN, id: USER_ID };
const USER_ARN: &str = "arn:aws:iam::111122223333:user/alice";
const USER_ID: &str = "AIDAAAAAAAAAAAAAALICE";

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
        // Kept by the ids of whom it names it says the same, and shown again it is what can be put.
        let named = |arn: &str| if arn == USER_ARN { Named::Id(USER_ID.to_owned()) } else { Named::Unknown };
        let kept = with_unique_ids(policy, named).expect("nobody is missing");
        let shown = with_current_arns(&kept, |id| (id == USER_ID).then(|| USER_ARN.to_owned()));
        for text in [&kept, &shown].into_iter().filter(|text| text.len() <= POLICY_BYTES_MAX) {
            let again =
                Policy::parse(text.as_bytes(), PolicyKind::Bucket("photos")).expect("it was read before");
            assert_eq!(again.decide(&USER, &request), document.decide(&USER, &request));
            assert_eq!(again.is_public(), document.is_public());
        }
    }
    let _ = with_current_arns(policy, |_| Some(String::new()));
}
