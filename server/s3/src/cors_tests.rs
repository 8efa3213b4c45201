use super::*;

fn rules(document: &str) -> S3Result<Rules> {
    Rules::of_element(&read::parse(document.as_bytes(), &STORED)?)
}

fn rule(inside: &str) -> S3Result<Rules> {
    rules(&format!("<CORSConfiguration><CORSRule>{inside}</CORSRule></CORSConfiguration>"))
}

fn allowed(rules: &Rules, origin: &str, method: &str, headers: &[&str]) -> bool {
    let headers = headers.iter().map(|name| (*name).to_owned()).collect();
    rules.matching(&Asked { origin, method, headers }).is_some()
}

#[test]
fn a_pattern_has_one_wildcard() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("*.a.org", "https://x.a.org", true),
        ("http://*.a.org", "http://.a.org", true),
        ("ab*ba", "aba", false),
        ("ab*ba", "abba", true),
        ("a", "A", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn a_rule_allows_origin_method_and_all_headers() {
    let rules = rule(
        "<AllowedOrigin>http://a</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>\
         <AllowedHeader>X-Amz-*</AllowedHeader><AllowedHeader>Range</AllowedHeader>",
    )
    .unwrap();
    assert!(allowed(&rules, "http://a", "PUT", &["x-amz-date", "range"]));
    assert!(!allowed(&rules, "http://b", "PUT", &[]));
    assert!(!allowed(&rules, "http://a", "DELETE", &[]));
    assert!(!allowed(&rules, "http://a", "PUT", &["x-amz-date", "content-type"]));
}

#[test]
fn what_aws_does_not_take_is_refused() {
    let ok = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>";
    assert!(rule(ok).is_ok());
    for wrong in [
        "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>".to_owned(),
        "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>get</AllowedMethod>".to_owned(),
        "<AllowedOrigin>*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>".to_owned(),
        format!("{ok}<AllowedHeader>*-*</AllowedHeader>"),
        format!("{ok}<ExposeHeader>x-*</ExposeHeader>"),
    ] {
        assert_eq!(rule(&wrong).unwrap_err().code(), ErrorCode::InvalidRequest, "{wrong}");
    }
    let many = format!(
        "<CORSConfiguration>{}</CORSConfiguration>",
        format!("<CORSRule>{ok}</CORSRule>").repeat(101)
    );
    assert_eq!(rules(&many).unwrap_err().code(), ErrorCode::InvalidRequest);
}
