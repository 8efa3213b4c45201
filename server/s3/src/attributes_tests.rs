use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

#[test]
fn standard_headers_and_user_metadata_come_back() {
    let sent = headers(&[
        ("content-type", "text/plain"),
        ("cache-control", "no-cache"),
        ("content-encoding", "aws-chunked,gzip"),
        ("expires", "whenever"),
        ("x-amz-meta-a", "1"),
        ("x-amz-meta-b", "x"),
        ("x-amz-meta-b", "y"),
        ("authorization", "secret"),
    ]);
    let attributes = of_request(&sent).unwrap();
    let mut back = HeaderMap::new();
    add_to(&mut back, &attributes);
    for (name, value) in [
        ("content-type", "text/plain"),
        ("cache-control", "no-cache"),
        ("content-encoding", "gzip"),
        ("expires", "whenever"),
        ("x-amz-meta-a", "1"),
        ("x-amz-meta-b", "x,y"),
    ] {
        assert_eq!(back.get(name).unwrap(), value, "{name}");
    }
    assert_eq!(back.len(), 6);
}

#[test]
fn only_the_transfer_is_aws_chunked() {
    let attributes = of_request(&headers(&[("content-encoding", "aws-chunked")])).unwrap();
    assert!(attributes.headers.is_empty());
}

#[test]
fn other_codings_come_back_as_they_were_written() {
    for (sent, kept) in [
        ("deflate, gzip", "deflate, gzip"),
        ("aws-chunked, gzip,br", "gzip,br"),
        ("gzip, aws-chunked", "gzip"),
    ] {
        let attributes = of_request(&headers(&[("content-encoding", sent)])).unwrap();
        assert_eq!(attributes.headers, [("content-encoding".to_owned(), kept.to_owned())]);
    }
}

#[test]
fn the_default_type_is_that_of_aws() {
    let mut back = HeaderMap::new();
    add_to(&mut back, &Attributes::default());
    assert_eq!(back.get("content-type").unwrap(), "binary/octet-stream");
}

#[test]
fn metadata_outside_ascii_comes_back_as_an_encoded_word() {
    let attributes = of_request(&headers(&[("x-amz-meta-a", "ключ")])).unwrap();
    let mut back = HeaderMap::new();
    add_to(&mut back, &attributes);
    assert_eq!(back.get("x-amz-meta-a").unwrap(), "=?UTF-8?B?0LrQu9GO0Yc=?=");
}

#[test]
fn metadata_is_limited_to_2_kib() {
    let fits = "v".repeat(USER_METADATA_BYTES_MAX - 1);
    assert!(of_request(&headers(&[("x-amz-meta-a", &fits)])).is_ok());
    let error = of_request(&headers(&[("x-amz-meta-ab", &fits)])).unwrap_err();
    assert_eq!(error.code(), ErrorCode::MetadataTooLarge);
}

#[test]
fn storage_classes() {
    assert_eq!(storage_class(&headers(&[])).unwrap(), StorageClass::Standard);
    assert_eq!(
        storage_class(&headers(&[("x-amz-storage-class", "GLACIER")])).unwrap(),
        StorageClass::Glacier
    );
    let error = storage_class(&headers(&[("x-amz-storage-class", "glacier")])).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidStorageClass);
}

#[test]
fn redirects_must_be_locations() {
    assert!(of_request(&headers(&[("x-amz-website-redirect-location", "/other")])).is_ok());
    let error = of_request(&headers(&[("x-amz-website-redirect-location", "other")])).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}
