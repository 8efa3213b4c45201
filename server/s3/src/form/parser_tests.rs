use proptest::prelude::*;

use super::*;

const TYPE: &str = "multipart/form-data; boundary=XX";

fn delimiter() -> Delimiter {
    Delimiter::of_content_type(TYPE).unwrap()
}

fn field(name: &str, value: &str) -> String {
    format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn form(fields: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
    let mut out: String = fields.iter().map(|(name, value)| field(name, value)).collect();
    out.push_str("--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n");
    [out.as_bytes(), file, b"\r\n--XX--\r\n"].concat()
}

/// The form and its file, from pieces of `piece_bytes`.
fn read(form: &[u8], piece_bytes: usize) -> S3Result<(Form, Option<Vec<u8>>)> {
    let mut reader = FieldReader::new(delimiter());
    let mut pieces = form.chunks(piece_bytes);
    let mut found = loop {
        match reader.feed(pieces.next().ok_or_else(malformed)?)? {
            Progress::More(same) => reader = same,
            Progress::File(form) => break form,
        }
    };
    let mut file = Vec::new();
    let mut next = std::mem::take(&mut found.read_ahead);
    loop {
        match found.file.scan(next) {
            Piece::More(piece) => file.extend_from_slice(&piece),
            Piece::Last(piece) => {
                file.extend_from_slice(&piece);
                return Ok((*found, Some(file)));
            }
        }
        match pieces.next() {
            Some(piece) => next = Bytes::copy_from_slice(piece),
            None => return Ok((*found, None)),
        }
    }
}

fn code(form: &[u8]) -> ErrorCode {
    read(form, form.len().max(1)).unwrap_err().code()
}

#[test]
fn fields_and_file_are_read_over_any_split() {
    let file = b"\r\n--X\r\r\n--\r\n\r\n--XY\r\r\r\n";
    let text = form(&[("key", "a/b"), ("x-amz-meta-a", "r\u{e4}d\r\nlines"), ("empty", "")], file);
    for piece_bytes in 1..text.len() {
        let (found, read) = read(&text, piece_bytes).unwrap();
        assert_eq!(read.as_deref(), Some(file.as_slice()), "in pieces of {piece_bytes}");
        assert_eq!(found.file_name, "a.txt");
        let fields: Vec<_> = found.fields.iter().map(|field| (&*field.name, &*field.value)).collect();
        assert_eq!(fields, [("key", "a/b"), ("x-amz-meta-a", "r\u{e4}d\r\nlines"), ("empty", "")]);
    }
}

#[test]
fn fields_behind_the_file_do_not_count() {
    let text = [form(&[("key", "k")], b"x").as_slice(), field("acl", "public-read").as_bytes()].concat();
    let (found, file) = read(&text, text.len()).unwrap();
    assert_eq!((found.fields.len(), file.as_deref()), (1, Some(b"x".as_slice())));
}

/// It was as if the rest of the body were the file.
#[test]
fn a_form_cut_off_in_its_file_has_no_end() {
    let text = form(&[("key", "k")], &[7; 5000]);
    for length in text.len() - 14..text.len() - 10 {
        assert_eq!(read(&text[..length], 1000).unwrap().1, None, "{length}");
    }
}

#[test]
fn what_is_no_form_is_refused() {
    for content_type in ["", "text/plain", "multipart/mixed; boundary=XX", "multipart"] {
        let error = Delimiter::of_content_type(content_type).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{content_type}");
    }
    let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\u{7f}",
        &long,
    ] {
        let error = Delimiter::of_content_type(content_type).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MalformedPOSTRequest, "{content_type}");
    }
    for boundary in ["Multipart/Form-Data;boundary=\"XX\"", "multipart/form-data; charset=utf-8; BOUNDARY=XX"]
    {
        assert_eq!(Delimiter::of_content_type(boundary).unwrap().0, b"\r\n--XX");
    }
    for malformed in [
        "",
        "--XX",
        "--XXgarbage\r\n\r\n",
        "no boundary at all",
        "--XX\r\n\r\nno headers\r\n--XX--",
        "--XX\r\nContent-Type: text/plain\r\n\r\nx\r\n--XX--",
        "--XX\r\nContent-Disposition: attachment; name=\"file\"\r\n\r\nx\r\n--XX--",
        "--XX\r\nContent-Disposition: form-data; name=\"fi\r\n\r\nx\r\n--XX--",
        "--XX\r\nContent-Disposition: form-data; name=\"a\"; name=\"file\"\r\n\r\nx\r\n--XX--",
        "--XX\r\nContent-Disposition: form-data; name=\"a\"x; b=c\r\n\r\nx\r\n--XX--",
    ] {
        assert_eq!(code(malformed.as_bytes()), ErrorCode::MalformedPOSTRequest, "{malformed:?}");
    }
    let not_utf8 = b"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\xff\r\n--XX--";
    assert_eq!(code(not_utf8), ErrorCode::MalformedPOSTRequest);
    assert_eq!(code((field("key", "k") + "--XX--\r\n").as_bytes()), ErrorCode::InvalidArgument);
}

#[test]
fn the_fields_are_bounded() {
    let most = "v".repeat(FIELDS_BYTES_MAX - 500);
    assert!(read(&form(&[("a", &most)], b"x"), 4096).is_ok());
    let more = "v".repeat(FIELDS_BYTES_MAX);
    assert_eq!(code(&form(&[("a", &more)], b"x")), ErrorCode::MaxPostPreDataLengthExceededError);
    let many: Vec<_> = (0..400).map(|_| ("x-ignore-a", "0123456789")).collect();
    assert_eq!(code(&form(&many, b"x")), ErrorCode::MaxPostPreDataLengthExceededError);
    assert_eq!(code(&vec![b'a'; 100_000]), ErrorCode::MaxPostPreDataLengthExceededError);
}

#[test]
fn names_are_read_as_browsers_write_them() {
    for (headers, name) in [
        (r#"form-data; name="file"; filename="C:\dir\a.txt""#, r"C:\dir\a.txt"),
        (r#"form-data; name="file"; filename="a\"b;c.txt""#, r#"a"b;c.txt"#),
        (r#"Form-Data; NAME=file; FileName=plain.txt"#, "plain.txt"),
        (r#"form-data; name="file"; filename="";"#, ""),
        (r#"form-data; name="file""#, ""),
    ] {
        let text = format!("--XX\r\ncontent-type: a/b\r\ncontent-disposition: {headers}\r\n\r\nx\r\n--XX--");
        assert_eq!(read(text.as_bytes(), 7).unwrap().0.file_name, name, "{headers}");
    }
}

proptest! {
    #[test]
    fn any_file_comes_out_as_it_went_in(
        file in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), any::<u8>()], 0..400),
        piece_bytes in 1_usize..60,
    ) {
        prop_assume!(find(&file, b"\r\n--XX").is_none());
        let (_, read) = read(&form(&[("key", "k")], &file), piece_bytes).unwrap();
        prop_assert_eq!(read, Some(file));
    }
}
