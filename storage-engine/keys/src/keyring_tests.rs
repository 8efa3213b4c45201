use granary_types::BucketKeys;

use super::*;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

#[test]
fn a_ring_comes_back_from_its_text() {
    let mut keys = Keys::generate(NOW).unwrap();
    keys.add(&name("training"), NOW).unwrap();
    keys.rotate(&name("training"), UnixMillis(NOW.0 + 1)).unwrap();
    let again = Keys::from_text(&keys.to_text().unwrap()).unwrap();
    assert_eq!(again.rows(), keys.rows());
    let (seal, _) = KeyRing::new(keys).seal_kms("training", BucketKeys::Disabled, None).unwrap();
    assert!(KeyRing::new(again).open(&seal).is_ok());
}

#[test]
fn what_was_written_before_a_rotation_can_be_read_after_it() {
    let mut keys = Keys::generate(NOW).unwrap();
    let ring = KeyRing::new(keys.clone());
    let (before, _) = ring.seal_managed().unwrap();
    keys.rotate(&name(MANAGED_KEY), NOW).unwrap();
    ring.replace(keys);
    let (after, _) = ring.seal_managed().unwrap();
    assert_ne!(before.with, after.with);
    assert!(ring.open(&before).is_ok() && ring.open(&after).is_ok());
}

#[test]
fn a_ring_without_the_version_says_so() {
    let (seal, _) = KeyRing::new(Keys::generate(NOW).unwrap()).seal_managed().unwrap();
    let other = KeyRing::new(Keys::generate(NOW).unwrap());
    assert!(matches!(other.open(&seal), Err(KeyError::NoSuchVersion(_))));
    assert!(matches!(KeyRing::default().open(&seal), Err(KeyError::NoKeyRing)));
}

#[test]
fn keys_are_named_as_aws_names_them() {
    let mut keys = Keys::generate(NOW).unwrap();
    keys.add(&name("training"), NOW).unwrap();
    let ring = KeyRing::new(keys);
    for reference in [
        "training",
        "alias/training",
        "arn:aws:kms:us-east-1:000000000000:key/training",
        "arn:aws:kms:us-east-1:000000000000:alias/training",
    ] {
        assert_eq!(ring.resolve(reference).unwrap(), "training", "{reference}");
    }
    assert_eq!(ring.resolve("alias/aws/s3").unwrap(), DEFAULT_KMS_KEY);
    for reference in ["missing", "", "arn:aws", "arn:aws:kms:us-east-1:000000000000:key/x", MANAGED_KEY] {
        assert!(matches!(ring.resolve(reference), Err(KeyError::NoSuchKey(_))), "{reference}");
    }
}

#[test]
fn copies_are_merged_and_contradictions_found() {
    let keys = Keys::generate(NOW).unwrap();
    let mut grown = keys.clone();
    grown.rotate(&name(MANAGED_KEY), NOW).unwrap();
    grown.add(&name("more"), NOW).unwrap();
    let mut merged = keys.clone();
    merged.merge(grown.clone()).unwrap();
    assert_eq!(merged.rows(), grown.rows());
    merged.merge(keys.clone()).unwrap();
    assert_eq!(merged.rows(), grown.rows());
    let mut apart = keys;
    apart.rotate(&name(MANAGED_KEY), NOW).unwrap();
    assert!(matches!(merged.merge(apart), Err(KeyError::Conflict { number: 2, .. })));
}

#[test]
fn what_is_no_ring_is_refused_without_being_quoted() {
    for text in ["", "{}", r#"{"format":2,"keys":[]}"#, r#"{"format":1,"keys":[{"name":"a","versions":[]}]}"#]
    {
        assert!(matches!(Keys::from_text(text.as_bytes()), Err(KeyError::Malformed(_))), "{text}");
    }
    let secret =
        r#"{"format":1,"keys":[{"name":"a","versions":[{"id":"00","created_ms":1,"secret":"c2VjcmV0"}]}]}"#;
    assert!(!Keys::from_text(secret.as_bytes()).unwrap_err().to_string().contains("c2Vj"));
    assert!("a b".parse::<KeyName>().is_err() && "".parse::<KeyName>().is_err());
}
