use time::macros::datetime;

use super::{EMPTY_SHA256, Request, Signer};

fn example() -> Signer {
    Signer {
        access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        region: "us-east-1".to_owned(),
    }
}

/// The worked example of the S3 API reference, "Signature calculations: GET Object".
#[test]
fn header_signature_matches_the_documented_example() {
    let mut request =
        Request::new("GET", "examplebucket.s3.amazonaws.com", "/test.txt").header("range", "bytes=0-9");
    let signature = example().sign(&mut request, EMPTY_SHA256, datetime!(2013-05-24 00:00 UTC));
    assert_eq!(signature, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

/// The worked example of the S3 API reference, "Authenticating requests: using query parameters".
#[test]
fn presigned_signature_matches_the_documented_example() {
    let mut request = Request::new("GET", "examplebucket.s3.amazonaws.com", "/test.txt");
    example().presign(&mut request, 86_400, datetime!(2013-05-24 00:00 UTC));
    let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(request.target().contains(&format!("X-Amz-Signature={expected}")));
}
