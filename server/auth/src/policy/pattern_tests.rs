use proptest::prelude::*;

use super::{Case, Context, Pattern, Syntax};

fn matches(pattern: &str, text: &str) -> bool {
    let pattern = Pattern::compile(pattern, Syntax::Both).unwrap();
    let mut context = Context::new();
    context.set("aws:username", "*");
    context.set_all("aws:TagKeys", vec!["a".to_owned(), "b".to_owned()]);
    pattern.matches(text, &context, Case::Sensitive)
}

#[test]
fn wildcards_match_any_text_and_any_one_character() {
    assert!(matches("arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/"));
    assert!(matches("arn:aws:s3:::bucket/*/c*d", "arn:aws:s3:::bucket/a/b/c/d"));
    assert!(matches("a?c", "aüc"));
    assert!(!matches("a?c", "ac"));
    assert!(!matches("a*b", "a/b/c"));
    assert!(matches("**a**", "bab"));
}

#[test]
fn a_user_named_star_matches_a_star_only() {
    assert!(matches("home/${aws:username}/x", "home/*/x"));
    assert!(matches("home/${AWS:UserName}/x", "home/*/x"));
    assert!(!matches("home/${aws:username}/x", "home/bob/x"));
}

#[test]
fn a_variable_without_a_single_value_matches_nothing_but_its_default() {
    assert!(!matches("${aws:userid}", ""));
    assert!(!matches("${aws:TagKeys}", "a"));
    assert!(matches("${aws:userid, 'no one'}", "no one"));
}

#[test]
fn escaped_characters_mean_themselves() {
    assert!(matches("a${*}", "a*"));
    assert!(!matches("a${*}", "ab"));
    assert!(matches("${$}{x}${?}", "${x}?"));
}

#[test]
fn unfinished_variables_are_refused() {
    for text in ["${aws:username", "${}", "${a, b}", "${ }", "${a${b}}"] {
        assert!(Pattern::compile(text, Syntax::Both).is_none(), "{text}");
    }
    assert!(Pattern::compile("${", Syntax::Wildcards).is_some());
}

/// What a pattern means, by trying everything.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some('*'), _) => (0..=text.len()).any(|taken| naive(&pattern[1..], &text[taken..])),
        (Some('?'), Some(_)) => naive(&pattern[1..], &text[1..]),
        (Some(own), Some(letter)) if own == letter => naive(&pattern[1..], &text[1..]),
        _ => false,
    }
}

proptest! {
    #[test]
    fn wildcards_match_what_trying_everything_matches(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        let compiled = Pattern::compile(&pattern, Syntax::Wildcards).unwrap();
        let expected = naive(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(compiled.matches(&text, &Context::new(), Case::Sensitive), expected);
    }
}
