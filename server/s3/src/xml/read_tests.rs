use super::*;

fn parse_small(text: &str) -> Result<Element, S3Error> {
    parse(text.as_bytes(), &Limits::SMALL)
}

#[test]
fn a_tree_with_or_without_namespace_and_prefix() {
    for text in [
        "<D><Q>true</Q></D>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<D xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n <Q>true</Q></D>\n",
        "<s3:D xmlns:s3='x'><s3:Q>true</s3:Q></s3:D>",
    ] {
        let root = parse_small(text).unwrap();
        assert_eq!((root.name.as_str(), root.child("Q").unwrap().text.as_str()), ("D", "true"), "{text}");
    }
}

#[test]
fn references_and_cdata_are_resolved() {
    let root = parse_small("<K>a&amp;b&#x41;&#13;&quot;<![CDATA[<x>]]></K>").unwrap();
    assert_eq!(root.text, "a&bA\r\"<x>");
}

#[test]
fn entities_and_document_types_are_refused() {
    let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><D>&b;</D>";
    for text in [laughs, "<D>&nbsp;</D>", "<?php x ?><D/>", "<D>&#x110000;</D>"] {
        assert_eq!(parse_small(text).unwrap_err().code(), ErrorCode::MalformedXML, "{text}");
    }
}

#[test]
fn what_is_not_one_well_formed_document_is_refused() {
    for text in ["", "  ", "text", "<a>", "<a></b>", "</a>", "<a/><b/>", "<a/>x", "<a", "<a>&", "<a>&amp</a>"]
    {
        assert_eq!(parse_small(text).unwrap_err().code(), ErrorCode::MalformedXML, "{text}");
    }
    assert!(parse(b"<a>\xff</a>", &Limits::SMALL).is_err());
}

#[test]
fn depth_count_and_length_are_bounded() {
    let deep = format!("{}{}", "<a>".repeat(9), "</a>".repeat(9));
    let many = format!("<a>{}</a>", "<b/>".repeat(1_000));
    let long = format!("<a>{}</a>", "x".repeat(64 * 1024));
    for text in [deep, many, long] {
        assert_eq!(parse_small(&text).unwrap_err().code(), ErrorCode::MalformedXML);
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "[<>a-c/&;#x0-9\"'= !\\[\\]?-]{0,80}") {
        let _ = parse_small(&text);
    }
}
