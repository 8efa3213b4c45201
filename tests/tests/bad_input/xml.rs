use std::fmt::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use granary_tests::raw::Response;
use md5::{Digest, Md5};

use crate::{BUCKET, Target, assert_refused};

async fn delete_many(target: &Target, body: &[u8]) -> Response {
    let md5 = BASE64_STANDARD.encode(Md5::digest(body));
    let request =
        target.request("POST", &format!("/{BUCKET}")).query("delete", "").header("content-md5", &md5);
    target.signed(request, body).await
}

fn delete_of(count: usize) -> String {
    let mut body = String::from("<Delete>");
    for number in 0..count {
        let _ = write!(body, "<Object><Key>{number}</Key></Object>");
    }
    body + "</Delete>"
}

#[tokio::test]
async fn malformed_xml_is_refused_in_bounded_memory() {
    let target = Target::start().await;
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
        <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><Delete><Object><Key>&c;</Key></Object></Delete>"#;
    let external = r#"<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]><Delete><Object><Key>&x;</Key></Object></Delete>"#;
    let cases = [
        ("nothing", String::new()),
        ("no xml", "hello".to_owned()),
        ("unclosed", "<Delete><Object><Key>a".to_owned()),
        ("another root", "<Other></Other>".to_owned()),
        ("deep", format!("{}{}", "<a>".repeat(50_000), "</a>".repeat(50_000))),
        ("deep inside", format!("<Delete>{}</Delete>", "<Object>".repeat(50_000))),
        ("entities", bomb.to_owned()),
        ("external entity", external.to_owned()),
        ("no keys", "<Delete></Delete>".to_owned()),
        ("1,001 keys", delete_of(1001)),
        ("100,000 keys", delete_of(100_000)),
    ];
    for (what, body) in cases {
        assert_refused(what, &delete_many(&target, body.as_bytes()).await, 400, "MalformedXML");
    }
    let not_utf8 = delete_many(&target, b"<Delete><Object><Key>\xff\xfe</Key></Object></Delete>").await;
    assert_eq!(not_utf8.status, 400);
    let huge = vec![b'a'; 64 << 20];
    assert_eq!(delete_many(&target, &huge).await.status, 400, "64 MiB of no XML");
    assert_eq!(delete_many(&target, delete_of(1000).as_bytes()).await.status, 200, "1,000 keys are fine");
    target.assert_unharmed().await;
}

#[tokio::test]
async fn malformed_completions_are_refused() {
    let target = Target::start().await;
    let client = target.server.client().unwrap();
    let upload = client.create_multipart_upload().bucket(BUCKET).key("k").send().await.unwrap();
    let upload = upload.upload_id().unwrap();
    let complete = async |body: &str| {
        let request = target.request("POST", &format!("/{BUCKET}/k")).query("uploadId", upload);
        target.signed(request, body.as_bytes()).await
    };
    let many = (1..=10_001).fold(String::new(), |mut text, number| {
        let _ = write!(text, "<Part><PartNumber>{number}</PartNumber><ETag>\"x\"</ETag></Part>");
        text
    });
    for (what, body) in [
        ("nothing", String::new()),
        ("no parts", "<CompleteMultipartUpload></CompleteMultipartUpload>".to_owned()),
        ("10,001 parts", format!("<CompleteMultipartUpload>{many}</CompleteMultipartUpload>")),
        (
            "a part without a number",
            "<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>".to_owned(),
        ),
        ("deep", "<CompleteMultipartUpload>".repeat(20_000)),
    ] {
        let response = complete(&body).await;
        assert!((400..500).contains(&response.status), "{what}: {}", response.status);
    }
    client.abort_multipart_upload().bucket(BUCKET).key("k").upload_id(upload).send().await.unwrap();
    target.assert_unharmed().await;
}
