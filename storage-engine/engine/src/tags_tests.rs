use super::*;

#[test]
fn an_upload_keeps_its_tags_apart_from_its_headers() {
    let headers = vec![("cache-control".to_owned(), "no-store".to_owned())];
    let mut attributes = Attributes { headers: headers.clone(), ..Attributes::default() };
    let tags = vec![("a:b".to_owned(), String::new()), ("c".to_owned(), "d".to_owned())];
    keep_upload_tags(&mut attributes, tags.clone());
    assert_eq!(take_upload_tags(&mut attributes), tags);
    assert_eq!(attributes.headers, headers);
}
