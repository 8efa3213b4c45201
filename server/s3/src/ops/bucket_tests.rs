use super::*;

fn code(constraint: Option<&str>, own: &str) -> Result<String, &'static str> {
    region_of(constraint, own).map_err(|error| error.code().as_str())
}

#[test]
fn a_bucket_is_made_in_the_store_s_region_only() {
    const ILLEGAL: Result<String, &str> = Err("IllegalLocationConstraintException");
    const INVALID: Result<String, &str> = Err("InvalidLocationConstraint");
    for own in ["us-east-1", "eu-west-1", "garage"] {
        assert_eq!(code(None, own).as_deref(), Ok(own));
    }
    assert_eq!(code(Some("eu-west-1"), "eu-west-1").as_deref(), Ok("eu-west-1"));
    assert_eq!(code(Some("EU"), "eu-west-1").as_deref(), Ok("eu-west-1"));
    assert_eq!(code(Some("garage"), "garage").as_deref(), Ok("garage"));
    for other in ["eu-west-1", "EU", "us-gov-east-1", "ap-southeast-7"] {
        assert_eq!(code(Some(other), "us-east-1"), ILLEGAL, "{other}");
    }
    // AWS's oldest region is named by naming none.
    assert_eq!(code(Some("us-east-1"), "us-east-1"), INVALID);
    assert_eq!(code(Some("us-east-1"), "eu-west-1"), INVALID);
    for none in ["nowhere", "eu-west", "EU-WEST-1", "eu-west-1-", "../..", "eu--1", "a-b-1"] {
        assert_eq!(code(Some(none), "us-east-1"), INVALID, "{none}");
    }
}

#[test]
fn controls_are_left_out_only_where_that_changes_nothing() {
    use ObjectOwnership::{BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter};
    let told =
        |name: &str| Some(format!("<Rule><ObjectOwnership>{name}</ObjectOwnership></Rule>").into_bytes());
    for dialect in [Dialect::Aws, Dialect::Ceph] {
        assert_eq!(controls_of(None, BucketOwnerEnforced, dialect), None);
        assert_eq!(controls_of(Some(BucketOwnerEnforced), ObjectWriter, dialect), None);
        assert_eq!(controls_of(None, BucketOwnerPreferred, dialect), told("BucketOwnerPreferred"));
        assert_eq!(controls_of(Some(ObjectWriter), ObjectWriter, dialect), told("ObjectWriter"));
    }
    assert_eq!(controls_of(None, ObjectWriter, Dialect::Aws), told("ObjectWriter"));
    assert_eq!(controls_of(None, ObjectWriter, Dialect::Ceph), Some(Vec::new()));
}
