use super::check;
use crate::error::Code;

fn outcome(tags: &[(&str, &str)]) -> Option<Code> {
    let tags: Vec<_> = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    check(&tags, Code::InvalidParameterValue).err().map(|error| error.code())
}

#[test]
fn lengths_are_of_characters_and_some_characters_are_none_of_a_tag() {
    assert_eq!(outcome(&[("é".repeat(128).as_str(), "é".repeat(256).as_str()), ("a b_.:/=+-@", "")]), None);
    for (key, value) in [
        ("", "v"),
        ("k*", "v"),
        ("k", "a,b"),
        ("k", "${aws:username}"),
        ("aws:k", "v"),
        ("AWS:k", "v"),
        ("k", "aws:v"),
        ("k".repeat(129).as_str(), "v"),
        ("k", "v".repeat(257).as_str()),
    ] {
        assert_eq!(outcome(&[(key, value)]), Some(Code::ValidationError), "{key} {value}");
    }
}

#[test]
fn keys_that_differ_in_case_alone_are_the_same_and_there_are_fifty() {
    assert_eq!(outcome(&[("Team", "a"), ("team", "b")]), Some(Code::InvalidParameterValue));
    let keys: Vec<String> = (0..51).map(|number| format!("k{number}")).collect();
    let tags: Vec<_> = keys.iter().map(|key| (key.as_str(), "v")).collect();
    assert_eq!(outcome(&tags[..50]), None);
    assert_eq!(outcome(&tags), Some(Code::ValidationError));
}
