//! A browser's form, at arbitrary splits, and its policy: never a panic; the same fields and file however the bytes
//! are split; bounded fields; and a policy that is accepted covers every field.
//!
//! Input: a policy document if it begins with a brace; otherwise the length of the pieces, and the form.

use base64::Engine as _;
use bytes::Bytes;
use granary_s3::form::fields::{Fields, SignatureVersion};
use granary_s3::form::parser::{Delimiter, FIELDS_BYTES_MAX, Field, FieldReader, Piece, Progress};
use granary_s3::form::policy::Policy;
use granary_types::{BucketName, UnixMillis};

/// The fields, the file's name and, if it ends, the file.
type Read = (Vec<Field>, String, Option<Vec<u8>>);

fn read(form: &[u8], piece_bytes: usize) -> Option<Read> {
    let delimiter = Delimiter::of_content_type("multipart/form-data; boundary=XX").unwrap();
    let mut reader = FieldReader::new(delimiter);
    let mut pieces = form.chunks(piece_bytes);
    let mut form = loop {
        match reader.feed(pieces.next()?).ok()? {
            Progress::More(same) => reader = same,
            Progress::File(form) => break form,
        }
    };
    let fields_bytes: usize = form.fields.iter().map(|field| field.name.len() + field.value.len()).sum();
    assert!(fields_bytes <= FIELDS_BYTES_MAX);
    let mut file = Vec::new();
    let mut next = std::mem::take(&mut form.read_ahead);
    loop {
        match form.file.scan(next) {
            Piece::More(piece) => file.extend_from_slice(&piece),
            Piece::Last(piece) => {
                file.extend_from_slice(&piece);
                return Some((form.fields, form.file_name, Some(file)));
            }
        }
        match pieces.next() {
            Some(piece) => next = Bytes::copy_from_slice(piece),
            None => return Some((form.fields, form.file_name, None)),
        }
    }
}

fn policy(document: &[u8]) {
    let field = base64::engine::general_purpose::STANDARD.encode(document);
    let Ok(policy) = Policy::parse(&field) else { return };
    assert!(policy.file_bytes.0 <= policy.file_bytes.1 || document.len() > 50);
    let bucket = BucketName::new("bucket").unwrap();
    let field = |name: &str| Field { name: name.to_owned(), value: "value".to_owned() };
    let fields = Fields::new(vec![field("key"), field("never-spoken-of")], &bucket).unwrap();
    let accepted = policy.check(&fields, SignatureVersion::V4, UnixMillis(0)).is_ok();
    let names_it = String::from_utf8_lossy(document).to_ascii_lowercase();
    assert!(!accepted || names_it.contains("never-spoken-of") || document.contains(&b'\\'));
}

pub(crate) fn run(data: &[u8]) {
    if data.first() == Some(&b'{') {
        return policy(data);
    }
    let Some((length, form)) = data.split_first() else { return };
    let whole = read(form, form.len().max(1));
    let split = read(form, usize::from(*length).max(1));
    // Bounds are looked at when bytes come, so that only what is accepted both ways must agree.
    if let (Some(whole), Some(split)) = (whole, split) {
        assert_eq!(whole, split);
    }
    if let Some((fields, name, _)) = read(form, form.len().max(1))
        && let Ok(mut fields) = Fields::new(fields, &BucketName::new("bucket").unwrap())
    {
        let _ = fields.name_file(&name);
        let _ = fields.signed_policy();
        let _ = fields.to_headers();
    }
}
