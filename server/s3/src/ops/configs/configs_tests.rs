use super::*;
use crate::operation::Status;

fn checked(root: &str, document: &str) -> S3Result<String> {
    let kind = kinds::ALL.iter().find(|kind| kind.root == root).unwrap();
    let parsed = read::parse(document.as_bytes(), &LIMITS)?;
    let content = schema::check(&parsed, kind.schema)?;
    (kind.check)(&parsed)?;
    Ok(content)
}

#[test]
fn every_kind_is_reached_and_served() {
    for kind in kinds::ALL {
        assert!(kind.name.ends_with('/') && kind.name.matches('/').count() == 1, "{}", kind.name);
        for operation in kind.operations.into_iter().flatten() {
            assert_eq!(of(operation).unwrap().0.name, kind.name);
            assert_ne!(operation.status(), Status::Missing, "{operation}");
        }
    }
}

#[test]
fn a_document_is_written_anew_as_it_was_understood() {
    let document = "<w:WebsiteConfiguration xmlns:w='x'> <!-- no --> <IndexDocument><Suffix>a&amp;b</Suffix>\
                    </IndexDocument></w:WebsiteConfiguration>";
    let expected = "<IndexDocument><Suffix>a&amp;b</Suffix></IndexDocument>";
    assert_eq!(checked("WebsiteConfiguration", document).unwrap(), expected);
    let document = "<PublicAccessBlockConfiguration><BlockPublicAcls> TRUE </BlockPublicAcls>\
                    </PublicAccessBlockConfiguration>";
    let expected = "<BlockPublicAcls>true</BlockPublicAcls>";
    assert_eq!(checked("PublicAccessBlockConfiguration", document).unwrap(), expected);
}

#[test]
fn what_does_not_follow_the_schema_is_malformed() {
    for (root, inside) in [
        ("AccelerateConfiguration", ""),
        ("AccelerateConfiguration", "<Status>On</Status>"),
        ("AccelerateConfiguration", "<Status>Enabled</Status><Status>Enabled</Status>"),
        ("AccelerateConfiguration", "<Status>Enabled</Status><More/>"),
        ("AccelerateConfiguration", "<Status>Enabled<More/></Status>"),
        ("OwnershipControls", ""),
        ("PublicAccessBlockConfiguration", ""),
        ("PublicAccessBlockConfiguration", "<BlockPublicAcls>1</BlockPublicAcls>"),
        ("RequestPaymentConfiguration", "<Payer>Me</Payer>"),
        ("CORSConfiguration", ""),
    ] {
        let error = checked(root, &format!("<{root}>{inside}</{root}>")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MalformedXML, "{root} {inside}");
    }
}

#[test]
fn logging_is_completed_as_ceph_keeps_it() {
    let completed = |inside: &str| {
        let kind = kinds::ALL.iter().find(|kind| kind.name == crate::logs::DOCUMENT).unwrap();
        let document = format!("<{0}>{inside}</{0}>", kind.root);
        let root = logging::completed(read::parse(document.as_bytes(), &LIMITS).unwrap());
        schema::check(&root, kind.schema).unwrap()
    };
    assert_eq!(completed(""), "");
    let begin = "<LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix>p</TargetPrefix>";
    let grants = "<TargetGrants><Grant><Grantee><ID>a</ID></Grantee><Permission>READ</Permission></Grant></TargetGrants>";
    let simple =
        "<TargetObjectKeyFormat><SimplePrefix></SimplePrefix></TargetObjectKeyFormat></LoggingEnabled>";
    assert_eq!(completed(&format!("{begin}{grants}</LoggingEnabled>")), format!("{begin}{simple}"));
    let parts = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource>\
                 </PartitionedPrefix></TargetObjectKeyFormat></LoggingEnabled>";
    assert_eq!(completed(&format!("{begin}{parts}")), format!("{begin}{parts}"));
}

#[test]
fn what_is_kept_is_taken_again() {
    for document in [
        "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
        "<CORSConfiguration><CORSRule><ID>&#x1;&lt;</ID><AllowedOrigin> http://*.a </AllowedOrigin>\
         <AllowedMethod>GET</AllowedMethod><MaxAgeSeconds>5</MaxAgeSeconds></CORSRule></CORSConfiguration>",
        "<WebsiteConfiguration><IndexDocument><Suffix>&amp;\u{d}\n</Suffix></IndexDocument></WebsiteConfiguration>",
    ] {
        check_all(document.as_bytes());
    }
}
