use std::time::{Duration, SystemTime};

use granary_auth::Session;
use granary_auth::policy::Context;

use super::{Asked, Marking, Marks, NONE, Tag};
use crate::error::Code;

fn tags(tags: &[(&str, &str)]) -> Vec<Tag> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn asked(passed: &[(&str, &str)], transitive: &[&str], source_identity: Option<&str>) -> Asked {
    Asked {
        tags: tags(passed),
        transitive_keys: transitive.iter().map(|key| (*key).to_owned()).collect(),
        source_identity: source_identity.map(str::to_owned),
    }
}

/// A session that hands down a tag and a source identity.
fn parent() -> Session {
    let now = SystemTime::now();
    Session {
        issued_at: now,
        expires_at: now + Duration::from_secs(60),
        parent: "AKIA".to_owned(),
        policies: Vec::new(),
        transitive_tags: tags(&[("Team", "red")]),
        source_identity: Some("ann".to_owned()),
        provider: None,
    }
}

fn permissions(marking: &Marking) -> Vec<&str> {
    marking.permissions("sts:AssumeRole").collect()
}

fn refusal(asked: Asked, parent: Option<&Session>) -> Code {
    asked.check(parent).unwrap_err().code()
}

#[test]
fn each_mark_needs_its_permission_and_has_its_condition_keys() {
    let plain = asked(&[], &[], None).check(None).unwrap();
    assert_eq!(permissions(&plain), ["sts:AssumeRole"]);
    assert_eq!(plain.marks, NONE);
    let marking = asked(&[("Team", "red"), ("Shift", "")], &["team"], Some("ann")).check(None).unwrap();
    assert_eq!(permissions(&marking), ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]);
    assert_eq!(marking.marks.transitive_tags, tags(&[("Team", "red")]));
    assert_eq!(marking.marks.tags, tags(&[("Shift", "")]));
    let mut context = Context::new();
    marking.describe(&mut context);
    assert_eq!(context.single("aws:RequestTag/team"), Some("red"));
    assert_eq!(context.get("aws:TagKeys"), ["Team", "Shift"]);
    assert_eq!(context.get("sts:TransitiveTagKeys"), ["Team"]);
    assert_eq!(context.single("sts:SourceIdentity"), Some("ann"));
}

#[test]
fn a_chain_inherits_and_needs_permission_for_that_too() {
    let parent = parent();
    let marking = asked(&[], &[], None).check(Some(&parent)).unwrap();
    assert_eq!(permissions(&marking), ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]);
    assert_eq!(marking.marks.transitive_tags, parent.transitive_tags);
    let mut context = Context::new();
    marking.describe(&mut context);
    assert_eq!(context.get("sts:TransitiveTagKeys"), ["Team"]);
    assert!(context.get("aws:TagKeys").is_empty() && context.get("aws:RequestTag/Team").is_empty());
    assert_eq!(context.single("sts:SourceIdentity"), Some("ann"));
    let more = asked(&[("Shift", "late")], &["Shift"], Some("ann")).check(Some(&parent)).unwrap();
    assert_eq!(more.marks.transitive_tags, tags(&[("Team", "red"), ("Shift", "late")]));
}

#[test]
fn what_is_inherited_cannot_be_changed() {
    let parent = parent();
    assert_eq!(refusal(asked(&[("TEAM", "blue")], &[], None), Some(&parent)), Code::InvalidParameterValue);
    assert_eq!(
        refusal(asked(&[("team", "red")], &["team"], None), Some(&parent)),
        Code::InvalidParameterValue
    );
    assert_eq!(refusal(asked(&[], &["Team"], None), Some(&parent)), Code::InvalidParameterValue);
    assert_eq!(refusal(asked(&[], &[], Some("bob")), Some(&parent)), Code::ValidationError);
}

#[test]
fn what_cannot_be_a_mark_is_refused() {
    assert_eq!(refusal(asked(&[("a", "1"), ("A", "2")], &[], None), None), Code::InvalidParameterValue);
    assert_eq!(refusal(asked(&[("a", "1")], &["b"], None), None), Code::InvalidParameterValue);
    assert_eq!(refusal(asked(&[("a", "1")], &["a"; 51], None), None), Code::ValidationError);
    for source_identity in ["", "a", "aws:a", "a b", "a".repeat(65).as_str()] {
        assert_eq!(refusal(asked(&[], &[], Some(source_identity)), None), Code::ValidationError);
    }
}

#[test]
fn tags_of_the_session_go_before_those_of_its_role() {
    let marks = Marks {
        tags: tags(&[("team", "red")]),
        transitive_tags: tags(&[("Star", "1")]),
        source_identity: None,
    };
    let found = marks.over(&tags(&[("Team", "blue"), ("star", "3"), ("Sun", "2")]));
    assert_eq!(found, tags(&[("team", "red"), ("Star", "1"), ("Sun", "2")]));
    assert_eq!(NONE.over(&found), found);
}
