use super::*;

fn redirected(target: &str) -> Option<String> {
    let (bucket, key) = (BucketName::new("bucket").unwrap(), ObjectKey::new("a b&c").unwrap());
    redirect(target, &bucket, &key, "\"e\"").map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn the_browser_is_sent_on_with_what_was_stored() {
    let query = "bucket=bucket&key=a%20b%26c&etag=%22e%22";
    assert_eq!(redirected("http://host/ok").unwrap(), format!("http://host/ok?{query}"));
    assert_eq!(redirected("https://host/ok?a=b").unwrap(), format!("https://host/ok?a=b&{query}"));
    assert_eq!(redirected("http://host/ok#end").unwrap(), format!("http://host/ok?{query}#end"));
}

#[test]
fn what_is_no_address_is_ignored() {
    for target in ["", "ok", "/ok", "//host/ok", "javascript:alert(1)", "ftp://host/", "http://host/\r\nx: y"]
    {
        assert_eq!(redirected(target), None, "{target}");
    }
}
