use super::*;

fn code<T: std::fmt::Debug>(result: S3Result<T>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn delete_reads_keys_versions_and_quiet() {
    let text = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a &amp; b</Key></Object>\
                <Object><Key>c</Key><VersionId>null</VersionId><ETag>\"t\"</ETag></Object><Quiet>true</Quiet></Delete>";
    let request = parse_delete(text.as_bytes()).unwrap();
    assert_eq!(request.report, DeleteReport::Quiet);
    assert_eq!(request.targets[0].key, "a & b");
    assert_eq!(request.targets[1].version_id.as_deref(), Some("null"));
    assert_eq!(request.targets[1].etag.as_deref(), Some("t"));
}

#[test]
fn delete_keeps_white_space_of_keys() {
    let request = parse_delete(b"<Delete><Object><Key> a \n</Key></Object></Delete>").unwrap();
    assert_eq!(request.targets[0].key, " a \n");
}

#[test]
fn delete_takes_1_to_1000_keys() {
    let many = |count| format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(count));
    assert_eq!(parse_delete(many(1_000).as_bytes()).unwrap().targets.len(), 1_000);
    assert_eq!(code(parse_delete(many(1_001).as_bytes())), ErrorCode::MalformedXML);
    assert_eq!(code(parse_delete(many(0).as_bytes())), ErrorCode::MalformedXML);
    assert_eq!(code(parse_delete(b"<Delete><Object/></Delete>")), ErrorCode::MalformedXML);
}

#[test]
fn delete_by_time_and_size_was_not_implemented() {
    let of = |conditions: &str| {
        parse_delete(format!("<Delete><Object><Key>k</Key>{conditions}</Object></Delete>").as_bytes())
    };
    let both =
        of("<Size>7</Size><LastModifiedTime>Wed, 21 Oct 2015 07:28:00 GMT</LastModifiedTime>").unwrap();
    assert_eq!(both.targets[0].length_bytes, Some(7));
    assert_eq!(both.targets[0].modified_at, Some(UnixMillis(1_445_412_480_000)));
    for bad in ["<Size>-1</Size>", "<Size/>", "<LastModifiedTime>soon</LastModifiedTime>"] {
        assert_eq!(code(of(bad)), ErrorCode::InvalidArgument, "{bad}");
    }
}

#[test]
fn delete_takes_1000_of_the_longest_keys_all_escaped() {
    let key = "&quot;".repeat(1_024);
    let text = format!("<Delete>{}</Delete>", format!("<Object><Key>{key}</Key></Object>").repeat(1_000));
    assert_eq!(parse_delete(text.as_bytes()).unwrap().targets[999].key.len(), 1_024);
}

#[test]
fn complete_reads_parts_with_checksums() {
    let text = "<CompleteMultipartUpload><Part><ETag>&quot;e1&quot;</ETag><PartNumber>1</PartNumber>\
                <ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME></Part>\
                <Part><PartNumber>7</PartNumber><ETag>e7</ETag></Part></CompleteMultipartUpload>";
    let parts = parse_complete(text.as_bytes()).unwrap();
    assert_eq!((parts[0].number.get(), parts[0].etag.as_str()), (1, "e1"));
    assert_eq!(parts[0].checksums, [(ChecksumAlgorithm::Crc64Nvme, "AAAAAAAAAAA=".to_owned())]);
    assert_eq!((parts[1].number.get(), parts[1].etag.as_str()), (7, "e7"));
}

#[test]
fn complete_refuses_bad_orders_and_numbers() {
    let of = |numbers: &[&str]| {
        let parts: String = numbers
            .iter()
            .map(|n| format!("<Part><ETag>e</ETag><PartNumber>{n}</PartNumber></Part>"))
            .collect();
        parse_complete(format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").as_bytes())
    };
    assert_eq!(code(of(&["2", "1"])), ErrorCode::InvalidPartOrder);
    assert_eq!(code(of(&["1", "1"])), ErrorCode::InvalidPartOrder);
    assert_eq!(code(of(&[])), ErrorCode::MalformedXML);
    for number in ["0", "10001", "-1", "x", ""] {
        assert_eq!(code(of(&[number])), ErrorCode::InvalidArgument, "{number}");
    }
    assert_eq!(
        code(parse_complete(
            b"<CompleteMultipartUpload><Part><ETag>e</ETag></Part></CompleteMultipartUpload>"
        )),
        ErrorCode::MalformedXML
    );
}

#[test]
fn complete_takes_10000_parts_with_the_longest_checksum() {
    let parts: String = (1..=10_000)
        .map(|n| {
            let sum = "A".repeat(88);
            format!("<Part><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><PartNumber>{n}</PartNumber><ChecksumSHA512>{sum}</ChecksumSHA512></Part>")
        })
        .collect();
    let text = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    assert_eq!(parse_complete(text.as_bytes()).unwrap().len(), 10_000);
}

#[test]
fn create_bucket_gives_the_location() {
    assert_eq!(parse_create_bucket(b"").unwrap(), CreateBucketRequest::default());
    let text = b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";
    assert_eq!(parse_create_bucket(text).unwrap().constraint.as_deref(), Some("eu-west-1"));
    let text = b"<CreateBucketConfiguration><Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags></CreateBucketConfiguration>";
    assert_eq!(parse_create_bucket(text).unwrap().tags, [("k".to_owned(), "v".to_owned())]);
    assert_eq!(code(parse_create_bucket(b"<Other/>")), ErrorCode::MalformedXML);
    let directory = b"<CreateBucketConfiguration><Location/></CreateBucketConfiguration>";
    assert_eq!(code(parse_create_bucket(directory)), ErrorCode::NotImplemented);
}
