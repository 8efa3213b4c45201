use super::*;

fn resolve(host: &str, path: &str) -> S3Result<Address> {
    let domains = VirtualHostDomains::new(["s3.example.com".to_owned(), "Example.com".to_owned()]);
    Address::resolve(&domains, host, path)
}

fn object(bucket: &str, key: &str) -> Address {
    Address::Object(BucketName::new(bucket).unwrap(), ObjectKey::new(key).unwrap())
}

fn bucket(name: &str) -> Address {
    Address::Bucket(BucketName::new(name).unwrap())
}

#[test]
fn path_style() {
    assert_eq!(resolve("localhost:9000", "/").unwrap(), Address::Service);
    assert_eq!(resolve("", "/bucket").unwrap(), bucket("bucket"));
    assert_eq!(resolve("", "/bucket/").unwrap(), bucket("bucket"));
    for (path, key) in [
        ("/bucket/a/b", "a/b"),
        ("/bucket//", "/"),
        ("/bucket//a//b/", "/a//b/"),
        ("/bucket/../x", "../x"),
        ("/bucket/a%2Fb%2520+", "a/b%20+"),
        ("/bucket/%E6%97%A5", "日"),
    ] {
        assert_eq!(resolve("127.0.0.1", path).unwrap(), object("bucket", key), "{path}");
    }
}

#[test]
fn virtual_host_style() {
    assert_eq!(resolve("bucket.s3.example.com:9000", "/").unwrap(), bucket("bucket"));
    assert_eq!(resolve("BUCKET.S3.example.com", "/a/b").unwrap(), object("bucket", "a/b"));
    assert_eq!(resolve("a.b.s3.example.com", "//k").unwrap(), object("a.b", "/k"));
    assert_eq!(resolve("s3.example.com", "/bucket/k").unwrap(), object("bucket", "k"));
    assert_eq!(resolve("not-s3.example.com", "/k").unwrap(), object("not-s3", "k"));
    assert_eq!(resolve("example.com", "/bucket/k").unwrap(), object("bucket", "k"));
    assert_eq!(resolve("other.org", "/bucket/k").unwrap(), object("bucket", "k"));
}

#[test]
fn bad_names() {
    let code = |path: &str| resolve("", path).unwrap_err().code();
    assert_eq!(code("/UP"), ErrorCode::InvalidBucketName);
    assert_eq!(code("//key"), ErrorCode::InvalidBucketName);
    assert_eq!(code("/bucket/%ff"), ErrorCode::InvalidURI);
    assert_eq!(code("/bucket/%2"), ErrorCode::InvalidURI);
    assert_eq!(code(&format!("/bucket/{}", "k".repeat(1025))), ErrorCode::KeyTooLongError);
    assert!(resolve("", &format!("/bucket/{}", "k".repeat(1024))).is_ok());
}
