use super::*;

#[test]
fn operations_have_their_names_in_logs() {
    for (operation, expected) in [
        (Operation::PutObject, "REST.PUT.OBJECT"),
        (Operation::GetObject, "REST.GET.OBJECT"),
        (Operation::CopyObject, "REST.COPY.OBJECT"),
        (Operation::ListObjectsV2, "REST.GET.BUCKET"),
        (Operation::DeleteObjects, "REST.POST.MULTI_OBJECT_DELETE"),
        (Operation::UploadPart, "REST.PUT.PART"),
        (Operation::CompleteMultipartUpload, "REST.POST.UPLOAD"),
        (Operation::CreateMultipartUpload, "REST.POST.UPLOADS"),
        (Operation::GetBucketVersioning, "REST.GET.VERSIONING"),
        (Operation::GetBucketPolicy, "REST.GET.BUCKETPOLICY"),
        (Operation::PutObjectTagging, "REST.PUT.OBJECT_TAGGING"),
    ] {
        assert_eq!(name(Dialect::Aws, operation), expected);
    }
    for (operation, expected) in [
        (Operation::CopyObject, "REST.PUT.OBJECT"),
        (Operation::DeleteObjects, "REST.POST.DELETE_MULTI_OBJECT"),
        (Operation::UploadPart, "REST.PUT.PART"),
    ] {
        assert_eq!(name(Dialect::Ceph, operation), expected);
    }
}

#[test]
fn no_client_breaks_a_line() {
    let mut out = String::new();
    word(&mut out, "a b\n\"c\u{e9}");
    quoted(&mut out, Some("x\r\n\"y\" z"));
    quoted(&mut out, None);
    word(&mut out, "");
    number(&mut out, None);
    assert_eq!(out, "a%20b%0A%22c%C3%A9 \"x%0D%0A%22y%22 z\" \"-\" - - ");
    let mut long = String::new();
    quoted(&mut long, Some(&"x".repeat(1_000_000)));
    assert!(long.len() < 3_000);
}

#[test]
fn times_are_as_web_servers_write_them() {
    assert_eq!(time(UnixMillis(1_549_411_238_999)), "06/Feb/2019:00:00:38 +0000");
}
