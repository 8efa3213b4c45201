use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Link, Subject, Token};
use crate::marks::Marks;
use crate::vault::{Purpose, Vault};

/// A token as releases wrote it that knew of no marks.
const EARLIER: &str = r#"{"access_key":"ASIA1","secret":"s","account":"123456789012",
    "subject":{"Role":{"id":"AROA1","session":"night"}},"parent":"AKIA1","issued_s":1,"expires_s":2,
    "policy":null,"policy_arns":[]}"#;

fn marks(tags: &[(&str, &str)]) -> Marks {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Marks { tags, transitive_tags: Vec::new(), source_identity: None }
}

fn token(marks: Marks) -> Token {
    Token {
        access_key: "ASIA1".to_owned(),
        secret: Zeroizing::new("s".to_owned()),
        account: "123456789012".to_owned(),
        subject: Subject::role("AROA1", "night", marks),
        parent: "AKIA1".to_owned(),
        issued_s: 1,
        expires_s: 2,
        policy: None,
        policy_arns: Vec::new(),
        link: Link::First,
    }
}

#[test]
fn tokens_of_earlier_releases_are_understood_and_unmarked_ones_are_as_they_were() {
    let vault = Vault::generate().unwrap();
    let sealed = vault.seal(Purpose::Token, EARLIER.as_bytes()).unwrap();
    assert_eq!(Token::open(&vault, &sealed), Some(token(Marks::default())));
    let written = serde_json::to_value(token(Marks::default())).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(EARLIER).unwrap());
    let later = Token { link: Link::Later, ..token(Marks::default()) };
    assert_eq!(Token::open(&vault, &later.seal(&vault).unwrap()), Some(later));
}

#[test]
fn earlier_releases_refuse_marked_tokens_rather_than_overlook_the_marks() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only whether it can be read counts")]
    enum Known {
        Root,
        User { id: String },
        Role { id: String, session: String },
    }
    let subject = |marks| serde_json::to_string(&Subject::role("AROA1", "night", marks)).unwrap();
    assert!(serde_json::from_str::<Known>(&subject(Marks::default())).is_ok());
    assert!(serde_json::from_str::<Known>(&subject(marks(&[("Team", "red")]))).is_err());
    let vault = Vault::generate().unwrap();
    let marked = token(Marks { source_identity: Some("ann".to_owned()), ..marks(&[("Team", "red")]) });
    assert_eq!(Token::open(&vault, &marked.seal(&vault).unwrap()), Some(marked));
}

#[test]
fn marks_that_a_later_release_gave_were_overlooked() {
    let vault = Vault::generate().unwrap();
    let opened = |more: &str| {
        let role = r#""Role":{"id":"AROA1","session":"night"}"#;
        let marks = format!(r#""MarkedRole":{{"id":"AROA1","session":"night","marks":{{"tags":[]{more}}}}}"#);
        let text = EARLIER.replace(role, &marks);
        Token::open(&vault, &vault.seal(Purpose::Token, text.as_bytes()).unwrap())
    };
    assert!(opened("").is_some());
    assert_eq!(opened(r#","clearance":"secret""#), None);
}

#[test]
fn what_policies_and_tags_take_is_counted_and_leaves_room_for_other_headers() {
    assert_eq!(token(Marks::default()).packed_percent(), None);
    assert_eq!(token(marks(&[("k", "v")])).packed_percent(), Some(1));
    let inherited =
        Marks { tags: Vec::new(), transitive_tags: marks(&[("k", "v")]).tags, source_identity: None };
    assert_eq!(token(inherited).packed_percent(), Some(1));
    let value = "v".repeat(256);
    let many = |count| token(marks(&vec![("k", value.as_str()); count]));
    let most = (1..).take_while(|&count| many(count).packed_percent() <= Some(100)).last().unwrap();
    assert!((20..50).contains(&most), "{most}");
    let vault = Vault::generate().unwrap();
    assert!(many(most).seal(&vault).unwrap().len() < 12 * 1024);
}

#[test]
fn sessions_without_tags_were_refused_whose_policies_are_as_long_as_these_may_be() {
    let path = "p".repeat(510);
    let policy_arns = vec![format!("arn:aws:iam::123456789012:policy/{path}/{}", "n".repeat(128)); 10];
    let policy = Some("\u{e4}".repeat(2_048));
    let of = |marks| Token { policy: policy.clone(), policy_arns: policy_arns.clone(), ..token(marks) };
    assert_eq!(of(Marks::default()).packed_percent(), Some(100));
    let identified = Marks { source_identity: Some("ann".to_owned()), ..Marks::default() };
    assert_eq!(of(identified).packed_percent(), Some(100));
    assert!(of(marks(&[("k", "v")])).packed_percent() > Some(100));
    let vault = Vault::generate().unwrap();
    assert!(of(Marks::default()).seal(&vault).unwrap().len() < 16 * 1024);
}
