use super::*;
use crate::error::ErrorCode;

fn rule(content: &str) -> S3Result<BucketEncryption> {
    parse_configuration(format!("<{ROOT}><Rule>{content}</Rule></{ROOT}>").as_bytes())
}

#[test]
fn configurations_come_back_as_they_were_put() {
    for content in [
        "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>\
         <BucketKeyEnabled>false</BucketKeyEnabled>",
        "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
         <KMSMasterKeyID>alias/training</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>\
         <BucketKeyEnabled>true</BucketKeyEnabled>",
        "<BucketKeyEnabled>false</BucketKeyEnabled>\
         <BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>",
        "<BucketKeyEnabled>false</BucketKeyEnabled>\
         <BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>",
    ] {
        let text = document(&rule(content).unwrap());
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.contains(&format!("<Rule>{content}</Rule>")), "{text}");
        assert!(parse_configuration(text.as_bytes()).is_ok());
        check_encryption(text.as_bytes());
    }
}

#[test]
fn what_is_no_configuration_is_refused() {
    let code = |content: &str| rule(content).unwrap_err().code();
    let apply = |inner: &str| format!("<{DEFAULT}>{inner}</{DEFAULT}>");
    assert_eq!(code(""), ErrorCode::MalformedXML);
    assert_eq!(code("<Other/>"), ErrorCode::MalformedXML);
    assert_eq!(code(&apply("")), ErrorCode::MalformedXML);
    assert_eq!(code(&apply("<SSEAlgorithm>aws:fsx</SSEAlgorithm>")), ErrorCode::MalformedXML);
    assert_eq!(code(&apply("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>")), ErrorCode::NotImplemented);
    let stray = apply("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>");
    assert_eq!(code(&stray), ErrorCode::InvalidArgument);
    assert_eq!(code("<BucketKeyEnabled>yes</BucketKeyEnabled>"), ErrorCode::MalformedXML);
    let twice = "<BucketKeyEnabled>true</BucketKeyEnabled>".repeat(2);
    assert_eq!(code(&twice), ErrorCode::MalformedXML);
    let both = "<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType><EncryptionType>SSE-C</EncryptionType>\
                </BlockedEncryptionTypes>";
    assert_eq!(code(both), ErrorCode::MalformedXML);
    let two_rules = format!("<{ROOT}><Rule/><Rule/></{ROOT}>");
    assert_eq!(parse_configuration(two_rules.as_bytes()).unwrap_err().code(), ErrorCode::MalformedXML);
}
