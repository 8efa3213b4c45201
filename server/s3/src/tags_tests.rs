use http::HeaderValue;

use super::*;

fn header(text: &str) -> S3Result<Vec<Tag>> {
    of_header(&HeaderMap::from_iter([(
        http::HeaderName::from_static(HEADER),
        HeaderValue::from_str(text).unwrap(),
    )]))
}

fn document(tags: &[(&str, &str)]) -> S3Result<Vec<Tag>> {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let mut xml = XmlWriter::document("Tagging");
    write(&mut xml, &tags.iter().map(own).collect::<Vec<_>>());
    of_document(&xml.finish("Tagging"), OBJECT_TAGS_MAX)
}

fn code<T: std::fmt::Debug>(result: S3Result<T>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn a_header_is_a_query_string() {
    let tags = header("e&a=b&c+d=%C3%A9").unwrap();
    let expected = [("a", "b"), ("c d", "é"), ("e", "")];
    assert_eq!(tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(header("").unwrap(), []);
    assert_eq!(of_header(&HeaderMap::new()).unwrap(), []);
    for wrong in ["a=%zz", "a=1&a=2", "a=%ff"] {
        assert_eq!(code(header(wrong)), ErrorCode::InvalidArgument, "{wrong}");
    }
}

#[test]
fn tags_have_limits() {
    let many: Vec<String> = (0..11).map(|n| format!("k{n}=v")).collect();
    assert_eq!(header(&many[..10].join("&")).unwrap().len(), 10);
    assert_eq!(code(header(&many.join("&"))), ErrorCode::InvalidTag);
    let (key, value) = ("é".repeat(128), "v".repeat(256));
    assert!(document(&[(&key, &value)]).is_ok());
    let longer = (format!("{key}k"), format!("{value}v"));
    for tag in [("", "v"), (&*longer.0, "v"), ("k", &*longer.1), ("aws:x", "v"), ("k", "<"), ("k{", "v")] {
        assert_eq!(code(document(&[tag])), ErrorCode::InvalidTag, "{tag:?}");
    }
    assert_eq!(code(document(&[("k", "1"), ("k", "2")])), ErrorCode::InvalidTag);
}

#[test]
fn a_document_follows_the_schema() {
    for wrong in [
        "<Tagging/>",
        "<Other><TagSet/></Other>",
        "<Tagging><TagSet/><TagSet/></Tagging>",
        "<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>",
        "<Tagging><TagSet><Tag><Key>k</Key><Value/><More/></Tag></TagSet></Tagging>",
    ] {
        assert_eq!(code(of_document(wrong.as_bytes(), 10)), ErrorCode::MalformedXML, "{wrong}");
    }
    assert_eq!(of_document(b"<Tagging><TagSet/></Tagging>", 10).unwrap(), []);
}
