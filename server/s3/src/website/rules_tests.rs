use super::*;
use crate::error::ErrorCode;

const HOST: &str = "b.site.example";

fn website(content: &str) -> Website {
    Website::of_stored(content.as_bytes()).unwrap()
}

fn rule(condition: &str, redirect: &str) -> String {
    format!("<RoutingRule>{condition}<Redirect>{redirect}</Redirect></RoutingRule>")
}

fn redirected(rules: &str, key: &str, status: Option<StatusCode>) -> Option<(u16, String)> {
    let content =
        format!("<IndexDocument><Suffix>i.html</Suffix></IndexDocument><RoutingRules>{rules}</RoutingRules>");
    let found = website(&content).redirect(key, status, HOST)?;
    Some((found.code.as_u16(), found.location))
}

#[test]
fn a_rule_replaces_what_it_says() {
    let prefix = "<Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition>";
    for (redirect, code, location) in [
        ("<ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith>", 301, "/documents/a%20b.html"),
        ("<ReplaceKeyWith>gone.html</ReplaceKeyWith>", 301, "/gone.html"),
        ("<HostName>other.example</HostName>", 301, "http://other.example/docs/a%20b.html"),
        ("<Protocol>https</Protocol>", 301, "https://b.site.example/docs/a%20b.html"),
        ("<HttpRedirectCode>302</HttpRedirectCode><ReplaceKeyWith/>", 302, "/"),
    ] {
        let found = redirected(&rule(prefix, redirect), "docs/a b.html", None);
        assert_eq!(found, Some((code, location.to_owned())), "{redirect}");
    }
    assert_eq!(redirected(&rule(prefix, "<ReplaceKeyWith>x</ReplaceKeyWith>"), "other", None), None);
}

#[test]
fn rules_for_errors_wait_for_them() {
    let condition = "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>";
    let rules = rule(condition, "<HostName>h</HostName><ReplaceKeyPrefixWith>404/</ReplaceKeyPrefixWith>");
    assert_eq!(redirected(&rules, "a", None), None);
    assert_eq!(redirected(&rules, "a", Some(StatusCode::FORBIDDEN)), None);
    let found = redirected(&rules, "a", Some(StatusCode::NOT_FOUND));
    assert_eq!(found, Some((301, "http://h/404/a".to_owned())));
}

#[test]
fn the_first_rule_that_fits_counts() {
    let rules = [
        rule(
            "<Condition><KeyPrefixEquals>a/b/</KeyPrefixEquals></Condition>",
            "<ReplaceKeyWith>1</ReplaceKeyWith>",
        ),
        rule(
            "<Condition><KeyPrefixEquals>a/</KeyPrefixEquals></Condition>",
            "<ReplaceKeyWith>2</ReplaceKeyWith>",
        ),
        rule("", "<ReplaceKeyWith>3</ReplaceKeyWith>"),
    ]
    .concat();
    for (key, location) in [("a/b/c", "/1"), ("a/c", "/2"), ("b", "/3"), ("", "/3")] {
        assert_eq!(redirected(&rules, key, None), Some((301, location.to_owned())), "{key}");
    }
}

#[test]
fn all_requests_go_elsewhere() {
    let found = website(
        "<RedirectAllRequestsTo><HostName>h</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>",
    );
    assert_eq!(found.redirects_all.unwrap().location(HOST, "a/b\r\nc"), "https://h/a/b%0D%0Ac");
}

/// A code that was no redirect, or an error that was none, took the whole website down.
#[test]
fn what_could_not_be_followed_was_kept() {
    let index = "<IndexDocument><Suffix>i.html</Suffix></IndexDocument>";
    let to = "<HostName>h</HostName>";
    let code = |code| format!("{to}<HttpRedirectCode>{code}</HttpRedirectCode>");
    let refused = |rest: &str| {
        let document = format!("<{ROOT}>{index}{rest}</{ROOT}>");
        let root = read::parse(document.as_bytes(), &STORED).unwrap();
        let error = Website::check(&root).unwrap_err();
        (error.code(), error.message().to_owned())
    };
    let refused_rule = |condition: &str, redirect: &str| {
        refused(&format!("<RoutingRules>{}</RoutingRules>", rule(condition, redirect)))
    };
    for wrong in ["5", "100", "200", "300", "400", "404", "999", "99999"] {
        let (error, message) = refused_rule("", &code(wrong));
        assert_eq!(error, ErrorCode::InvalidRequest, "{wrong}");
        assert!(
            message.starts_with(&format!("The provided HTTP redirect code ({wrong}) is not valid")),
            "{message}"
        );
    }
    for wrong in ["0", "200", "302", "600", "99999999"] {
        let condition = format!(
            "<Condition><HttpErrorCodeReturnedEquals>{wrong}</HttpErrorCodeReturnedEquals></Condition>"
        );
        let (error, message) = refused_rule(&condition, to);
        assert_eq!(error, ErrorCode::InvalidRequest, "{wrong}");
        assert!(
            message.starts_with(&format!("The provided HTTP error code ({wrong}) is not valid")),
            "{message}"
        );
    }
    let both = "<ReplaceKeyPrefixWith>a</ReplaceKeyPrefixWith><ReplaceKeyWith>b</ReplaceKeyWith>";
    for (condition, redirect) in [
        ("", both),
        ("<Condition/>", to),
        ("", "<HostName>a b</HostName>"),
        ("", "<HostName>a&#13;&#10;b:c</HostName>"),
    ] {
        assert_eq!(refused_rule(condition, redirect).0, ErrorCode::InvalidRequest, "{condition} {redirect}");
    }
    assert_eq!(refused_rule("", "").0, ErrorCode::MalformedXML);
    assert_eq!(refused_rule("", "<HostName/>").0, ErrorCode::MalformedXML);
    assert_eq!(refused("<ErrorDocument><Key/></ErrorDocument>").0, ErrorCode::MalformedXML);
    for right in ["301", "302", "304", "307", "399"] {
        let rules = rule("", &code(right));
        assert_eq!(redirected(&rules, "a", None), Some((right.parse().unwrap(), "http://h/a".to_owned())));
    }
}

/// What earlier builds kept took the website down once it was refused.
#[test]
fn a_kept_rule_that_cannot_be_followed_redirects_nothing() {
    let wrong = rule("", "<HostName>h</HostName><HttpRedirectCode>5</HttpRedirectCode>");
    let right = rule("", "<ReplaceKeyWith>right</ReplaceKeyWith>");
    assert_eq!(redirected(&wrong, "a", None), None);
    assert_eq!(redirected(&format!("{wrong}{right}"), "a", None), Some((301, "/right".to_owned())));
    let with_a_path = rule("", "<HostName>h.example/a?b=c</HostName>");
    assert_eq!(redirected(&with_a_path, "k", None), Some((301, "http://h.example/a?b=c/k".to_owned())));
}
