use super::*;

fn path(raw: &str) -> String {
    canonical_component(raw, SlashMeaning::Separator, PlusMeaning::Plus).into_owned()
}

fn query(raw: &str) -> String {
    let mut out = Vec::new();
    CanonicalQuery::parse(Some(raw)).write_to(&mut out, None);
    String::from_utf8(out).unwrap()
}

#[test]
fn paths_are_encoded_once_and_never_normalised() {
    assert_eq!(path("/a/./b/../c//d/"), "/a/./b/../c//d/");
    assert_eq!(path("/a%20b%2Bc~d"), "/a%20b%2Bc~d");
    assert_eq!(path("/a+b(c)"), "/a%2Bb%28c%29");
    assert_eq!(path("/%7e%41%2f%c3%a9"), "/~A%2F%C3%A9");
    assert_eq!(path("/100%/x%zz%4"), "/100%25/x%25zz%254");
    assert_eq!(path("/é"), "/%C3%A9");
}

#[test]
fn canonical_components_are_borrowed() {
    for raw in ["/bucket/key-1_2.txt~", "/a%20b"] {
        assert!(matches!(
            canonical_component(raw, SlashMeaning::Separator, PlusMeaning::Plus),
            Cow::Borrowed(_)
        ));
    }
}

#[test]
fn queries_are_sorted_by_encoded_name_then_value() {
    assert_eq!(query("b=2&a=1&b=1&acl"), "a=1&acl=&b=1&b=2");
    assert_eq!(query("prefix=a+b/c&&x=%7E"), "prefix=a%20b%2Fc&x=~");
    assert_eq!(query("a=b=c"), "a=b%3Dc");
}

#[test]
fn signed_headers_must_be_sorted_lower_case_and_unique() {
    for bad in ["", "host;", "x;host", "host;host", "Host", "host;X-Amz-Date", "a b"] {
        assert!(SignedHeaders::parse(bad).is_none(), "{bad}");
    }
    assert!(SignedHeaders::parse("content-type;host;x-amz-date").is_some());
}

#[test]
fn header_values_are_trimmed_folded_and_joined() {
    let mut headers = HeaderMap::new();
    headers.append("x-amz-meta-a", "  one   two ".parse().unwrap());
    headers.append("x-amz-meta-a", "three".parse().unwrap());
    let query = CanonicalQuery::default();
    let request = CanonicalRequest {
        method: &Method::GET,
        path: "",
        query: &query,
        skip_parameter: None,
        headers: &headers,
        host: "h:9000",
        signed_headers: SignedHeaders::parse("host;x-amz-meta-a").unwrap(),
        payload_hash: "p",
    };
    let text = String::from_utf8(request.to_bytes().unwrap()).unwrap();
    assert_eq!(text, "GET\n/\n\nhost:h:9000\nx-amz-meta-a:one two,three\n\nhost;x-amz-meta-a\np");
}
