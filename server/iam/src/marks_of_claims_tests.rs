use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::asked;
use crate::error::Code;
use crate::marks::Asked;

fn of(claims: Value) -> Result<Asked, Code> {
    asked(&serde_json::from_value(claims).unwrap()).map_err(|error| error.code())
}

#[test]
fn both_forms_ask_for_the_same() {
    let nested = json!({
        "email": "ann@example.com",
        "https://aws.amazon.com/tags": {
            "principal_tags": { "Shift": "late", "Team": ["red"] },
            "transitive_tag_keys": ["Team"],
        },
        "https://aws.amazon.com/source_identity": "ann",
    });
    let flat = json!({
        "https://aws.amazon.com/tags/principal_tags/Team": "red",
        "https://aws.amazon.com/tags/principal_tags/Shift": "late",
        "https://aws.amazon.com/tags/transitive_tag_keys": "Team",
        "https://aws.amazon.com/source_identity": "ann",
    });
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let wanted = Asked {
        tags: vec![tag("Shift", "late"), tag("Team", "red")],
        transitive_keys: vec!["Team".to_owned()],
        source_identity: Some("ann".to_owned()),
    };
    assert_eq!(of(nested).unwrap(), wanted);
    assert_eq!(of(flat).unwrap(), wanted);
    assert_eq!(of(json!({ "tags": ["a"] })).unwrap(), Asked::default());
}

#[test]
fn what_cannot_be_understood_is_not_overlooked() {
    for claims in [
        json!({ "https://aws.amazon.com/tags": "Team" }),
        json!({ "https://aws.amazon.com/tags": { "principal_tags": ["Team"] } }),
        json!({ "https://aws.amazon.com/tags": { "principal_tag": {} } }),
        json!({ "https://aws.amazon.com/tags": { "principal_tags": { "Team": ["red", "blue"] } } }),
        json!({ "https://aws.amazon.com/tags": { "principal_tags": { "Team": [] } } }),
        json!({ "https://aws.amazon.com/tags": { "transitive_tag_keys": [1] } }),
        json!({ "https://aws.amazon.com/tags/principal_tags/Team": 1 }),
        json!({ "https://aws.amazon.com/source_identity": null }),
    ] {
        assert_eq!(of(claims.clone()), Err(Code::InvalidIdentityToken), "{claims}");
    }
}

#[test]
fn claims_that_are_nearly_those_of_tags_were_dropped_without_a_word() {
    for rest in
        ["/principal_tag/Team", "/Principal_tags/Team", "/principal_tags", "/transitive_tag_keys/", "/", "s"]
    {
        let mut claims = BTreeMap::from([("email".to_owned(), json!("ann@example.com"))]);
        claims.insert(format!("https://aws.amazon.com/tags{rest}"), json!("red"));
        assert_eq!(asked(&claims).map_err(|error| error.code()), Err(Code::InvalidIdentityToken), "{rest}");
    }
    let others =
        json!({ "https://aws.amazon.com/roles": "a", "https://example.com/tags/principal_tags/a": 1 });
    assert_eq!(of(others).unwrap(), Asked::default());
}
