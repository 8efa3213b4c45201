use super::super::document;
use super::*;
use crate::error::ErrorCode;

fn read(rules: &str) -> Result<LifecycleRules, ErrorCode> {
    let xml = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    parse_rules(xml.as_bytes(), Dialect::Aws, || "new".to_owned()).map_err(|error| error.code())
}

fn rule(inner: &str) -> Result<LifecycleRules, ErrorCode> {
    read(&format!(
        "<Rule><ID>r</ID><Filter><Prefix>a/</Prefix></Filter><Status>Enabled</Status>{inner}</Rule>"
    ))
}

#[test]
fn rules_are_written_as_they_were_read() {
    for inner in [
        "<Expiration><Days>3</Days></Expiration>",
        "<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>",
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2\
         </NewerNoncurrentVersions></NoncurrentVersionExpiration>",
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
        "<Transition><Days>0</Days><StorageClass>STANDARD_IA</StorageClass></Transition>",
        "<Transition><Days>0</Days><StorageClass>GLACIER</StorageClass></Transition><Transition><Days>90</Days>\
         <StorageClass>DEEP_ARCHIVE</StorageClass></Transition><Expiration><Days>91</Days></Expiration>",
        "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>STANDARD_IA</StorageClass>\
         </NoncurrentVersionTransition>",
    ] {
        let rules = rule(inner).expect(inner);
        let again =
            parse_rules(&document(&rules), Dialect::Aws, || unreachable!("it has an id")).expect(inner);
        assert_eq!(again, rules, "{inner}");
    }
    let and = "<Rule><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
               <ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And>\
               </Filter><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>";
    let rules = read(and).expect("valid");
    assert_eq!(rules.rules[0].id, "new");
    assert_eq!(parse_rules(&document(&rules), Dialect::Aws, String::new).expect("valid"), rules);
    let old = read(
        "<Rule><ID>o</ID><Prefix/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>",
    );
    let old = old.expect("valid");
    assert_eq!(parse_rules(&document(&old), Dialect::Aws, String::new).expect("valid"), old);
}

#[test]
fn rules_that_make_no_sense_are_refused_as_aws_refuses_them() {
    use ErrorCode::{InvalidArgument, InvalidRequest, MalformedXML};
    let days = "<Expiration><Days>1</Days></Expiration>";
    let whole = |rules: &str, code| assert_eq!(read(rules).err(), Some(code), "{rules}");
    whole("", MalformedXML);
    whole(&format!("<Rule><Status>Enabled</Status>{days}</Rule>"), MalformedXML);
    whole(&format!("<Rule><Prefix/><Filter/><Status>Enabled</Status>{days}</Rule>"), MalformedXML);
    whole(&format!("<Rule><Prefix/>{days}</Rule>"), MalformedXML);
    whole(&format!("<Rule><Prefix/><Status>enabled</Status>{days}</Rule>"), MalformedXML);
    let long = format!("<Rule><ID>{}</ID><Prefix/><Status>Enabled</Status>{days}</Rule>", "a".repeat(256));
    whole(&long, InvalidArgument);
    let one = format!("<Rule><ID>a</ID><Prefix/><Status>Enabled</Status>{days}</Rule>");
    whole(&format!("{one}{one}"), InvalidArgument);
    for (inner, code) in [
        ("", InvalidRequest),
        ("<Expiration><Days>0</Days></Expiration>", InvalidArgument),
        ("<Expiration><Days>-1</Days></Expiration>", InvalidArgument),
        ("<Expiration><Days>x</Days></Expiration>", MalformedXML),
        ("<Expiration/>", MalformedXML),
        ("<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>", InvalidArgument),
        ("<Expiration><Date>20300101</Date></Expiration>", MalformedXML),
        ("<Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration>", MalformedXML),
        ("<Transition><Days>1</Days><StorageClass>STANDARD</StorageClass></Transition>", MalformedXML),
        ("<Transition><Days>-1</Days><StorageClass>STANDARD_IA</StorageClass></Transition>", InvalidArgument),
        (
            "<Transition><Days>9</Days><StorageClass>GLACIER</StorageClass></Transition><Transition><Days>9</Days>\
             <StorageClass>STANDARD_IA</StorageClass></Transition>",
            InvalidArgument,
        ),
        (
            "<Transition><Date>2030-01-02T00:00:00Z</Date><StorageClass>STANDARD_IA</StorageClass></Transition>\
             <Transition><Date>2030-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition>",
            InvalidArgument,
        ),
        (
            "<Transition><Days>9</Days><StorageClass>STANDARD_IA</StorageClass></Transition><Transition>\
             <Date>2030-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition>",
            InvalidRequest,
        ),
        (
            "<NoncurrentVersionTransition><NoncurrentDays>9</NoncurrentDays><StorageClass>DEEP_ARCHIVE</StorageClass>\
             </NoncurrentVersionTransition><NoncurrentVersionTransition><NoncurrentDays>10</NoncurrentDays>\
             <StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>",
            InvalidArgument,
        ),
        (
            "<Transition><Days>9</Days><StorageClass>GLACIER</StorageClass></Transition><Expiration><Days>9</Days>\
             </Expiration>",
            InvalidArgument,
        ),
        (
            "<Transition><Days>9</Days><StorageClass>GLACIER</StorageClass></Transition><Expiration>\
             <Date>2030-01-01T00:00:00Z</Date></Expiration>",
            InvalidRequest,
        ),
        (
            "<NoncurrentVersionExpiration><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
            MalformedXML,
        ),
        ("<Unknown/>", MalformedXML),
    ] {
        assert_eq!(rule(inner).err(), Some(code), "{inner}");
    }
}

#[test]
fn filters_that_an_action_does_not_take_are_refused_as_aws_refuses_them() {
    use ErrorCode::{InvalidRequest, MalformedXML};
    let days = "<Expiration><Days>1</Days></Expiration>";
    let tag = "<Tag><Key>k</Key><Value>v</Value></Tag>";
    let filtered = |filter: &str, action: &str| {
        read(&format!("<Rule><Filter>{filter}</Filter><Status>Enabled</Status>{action}</Rule>")).err()
    };
    let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>";
    assert_eq!(filtered(tag, abort), Some(InvalidRequest));
    assert_eq!(filtered("<ObjectSizeLessThan>9</ObjectSizeLessThan>", abort), Some(InvalidRequest));
    let markers = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>";
    assert_eq!(filtered(tag, markers), Some(InvalidRequest));
    assert_eq!(filtered(&format!("<And>{tag}{tag}</And>"), days), Some(InvalidRequest));
    assert_eq!(filtered(&format!("<And>{tag}</And>"), days), Some(MalformedXML));
    assert_eq!(filtered(&format!("<Prefix>a</Prefix>{tag}"), days), Some(MalformedXML));
}

#[test]
fn newer_versions_were_kept_by_rules_without_a_filter() {
    let kept = "<NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions>";
    for action in [
        format!("<NoncurrentVersionExpiration>{kept}</NoncurrentVersionExpiration>"),
        format!(
            "<NoncurrentVersionTransition>{kept}<StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>"
        ),
    ] {
        let filtered = |filter: &str| read(&format!("<Rule>{filter}<Status>Enabled</Status>{action}</Rule>"));
        assert_eq!(filtered("<Prefix/>").err(), Some(ErrorCode::InvalidRequest), "{action}");
        assert!(filtered("<Filter/>").is_ok(), "{action}");
    }
}

#[test]
fn a_rule_had_steps_of_which_the_second_could_never_be_taken() {
    let step = |days: u32, class: &str| {
        format!("<Transition><Days>{days}</Days><StorageClass>{class}</StorageClass></Transition>")
    };
    for (first, second) in [("ONEZONE_IA", "GLACIER_IR"), ("GLACIER_IR", "ONEZONE_IA")] {
        let steps = step(30, first) + &step(90, second);
        assert_eq!(rule(&steps).err(), Some(ErrorCode::InvalidRequest), "{steps}");
    }
    assert!(rule(&(step(30, "ONEZONE_IA") + &step(90, "GLACIER"))).is_ok());
}

#[test]
fn conditions_beside_each_other_are_kept_in_an_and_where_ceph_s_rules_hold() {
    let tag = "<Tag><Key>k</Key><Value>v</Value></Tag>";
    let read_as = |dialect: Dialect, filter: &str| {
        let xml = format!(
            "<LifecycleConfiguration><Rule><Filter>{filter}</Filter><Status>Enabled</Status><Expiration><Days>1</Days>\
             </Expiration></Rule></LifecycleConfiguration>"
        );
        parse_rules(xml.as_bytes(), dialect, || "r".to_owned()).map_err(|error| error.code())
    };
    let expected = read_as(Dialect::Aws, &format!("<And><Prefix>a</Prefix>{tag}</And>"));
    assert!(expected.is_ok());
    assert_eq!(read_as(Dialect::Ceph, &format!("<Prefix>a</Prefix>{tag}")), expected);
    // What stands beside an And does not count.
    let beside = format!("<ObjectSizeLessThan>9</ObjectSizeLessThan><And><Prefix>a</Prefix>{tag}</And>");
    assert_eq!(read_as(Dialect::Ceph, &beside), expected);
    for filter in [
        "<Prefix>a</Prefix><Prefix>b</Prefix>".to_owned(),
        "<Prefix>a</Prefix><Unknown/>".to_owned(),
        format!("<Prefix>a</Prefix><And>{tag}</And>"),
    ] {
        assert_eq!(read_as(Dialect::Ceph, &filter), Err(ErrorCode::MalformedXML), "{filter}");
    }
}
