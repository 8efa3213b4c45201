use super::*;

#[test]
fn bucket_names_follow_the_rules_of_aws() {
    for good in ["abc", "my-bucket.v2", "123", &"a".repeat(63)] {
        assert!(BucketName::new(good).is_ok(), "{good}");
    }
    let bad = [
        ("ab", BucketNameError::Length),
        (&*"a".repeat(64), BucketNameError::Length),
        ("Abc", BucketNameError::Character),
        ("a_b", BucketNameError::Character),
        ("../etc", BucketNameError::Character),
        ("-abc", BucketNameError::Shape),
        ("abc.", BucketNameError::Shape),
        ("a..b", BucketNameError::Shape),
        ("192.168.1.1", BucketNameError::IpAddress),
        ("xn--abc", BucketNameError::Reserved),
        ("abc-s3alias", BucketNameError::Reserved),
    ];
    for (name, error) in bad {
        assert_eq!(BucketName::new(name), Err(error), "{name}");
    }
}

#[test]
fn keys_are_limited_in_bytes_not_in_characters() {
    assert!(ObjectKey::new("é".repeat(512)).is_ok());
    assert_eq!(ObjectKey::new("é".repeat(513)), Err(KeyError::TooLong { length_bytes: 1026 }));
    assert_eq!(ObjectKey::new(""), Err(KeyError::Empty));
}
