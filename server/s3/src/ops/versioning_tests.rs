use super::*;

fn read(inner: &str) -> S3Result<BucketChange> {
    let document = format!("<VersioningConfiguration xmlns=\"x\">{inner}</VersioningConfiguration>");
    parse_versioning(document.as_bytes())
}

#[test]
fn only_the_two_statuses_are_taken() {
    assert_eq!(read("<Status>Enabled</Status>").unwrap(), BucketChange::EnableVersioning);
    assert_eq!(read("<Status>Suspended</Status>").unwrap(), BucketChange::SuspendVersioning);
    let without_mfa = "<MfaDelete>Disabled</MfaDelete><Status>Enabled</Status>";
    assert_eq!(read(without_mfa).unwrap(), BucketChange::EnableVersioning);
    let refused = |inner: &str, code| assert_eq!(read(inner).unwrap_err().code(), code, "{inner}");
    refused("", ErrorCode::IllegalVersioningConfigurationException);
    refused("<Status>On</Status>", ErrorCode::MalformedXML);
    refused("<Other/>", ErrorCode::MalformedXML);
    refused("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", ErrorCode::NotImplemented);
}
