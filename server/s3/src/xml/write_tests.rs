use super::*;

fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape_into(&mut out, text);
    out
}

#[test]
fn markup_is_escaped_and_the_rest_is_copied() {
    assert_eq!(escaped("a<b>&\"c\"'d'"), "a&lt;b&gt;&amp;&quot;c&quot;'d'");
    assert_eq!(escaped("日本語/ключ"), "日本語/ключ");
    assert_eq!(escaped(""), "");
}

#[test]
fn characters_illegal_in_xml_become_numeric_references() {
    assert_eq!(escaped("a\u{1}b\rc\td\ne"), "a&#x1;b&#xD;c\td\ne");
    assert_eq!(escaped("x\u{fffe}y\u{ffff}\u{feff}"), "x&#xFFFE;y&#xFFFF;\u{feff}");
}

#[test]
fn what_the_client_sent_is_repeated_so_that_any_parser_takes_it() {
    let echoed = |text: &str| {
        let mut xml = XmlWriter::fragment();
        xml.echo("K", text);
        xml.into_text()
    };
    assert_eq!(echoed("a&b\r\u{7f}\u{fffd}\u{10348}"), "<K>a&amp;b&#xD;&#x7F;\u{fffd}\u{10348}</K>");
    assert_eq!(echoed("\u{1}x\u{b}<\u{fffe}\u{ffff}"), "<K>\u{fffd}x\u{fffd}&lt;\u{fffd}\u{fffd}</K>");
}

#[test]
fn a_document_has_declaration_and_namespace() {
    let mut xml = XmlWriter::document("R");
    xml.text("K", "a&b");
    xml.plain("N", 3);
    xml.etag("abc");
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<R xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                    <K>a&amp;b</K><N>3</N><ETag>&quot;abc&quot;</ETag></R>";
    assert_eq!(xml.finish("R"), expected.as_bytes());
}

#[test]
fn the_quick_check_finds_every_special_byte() {
    for byte in 0..=u8::MAX {
        assert!(may_be_special(byte) || !SPECIAL[usize::from(byte)], "{byte}");
    }
}

proptest::proptest! {
    #[test]
    fn escaping_is_undone_by_parsing(text in "\\PC*") {
        let mut xml = XmlWriter::document("R");
        xml.text("K", &text);
        let document = xml.finish("R");
        let root = crate::xml::read::parse(&document, &crate::xml::read::Limits::SMALL).unwrap();
        proptest::prop_assert_eq!(&root.children[0].text, &text);
    }
}
