//! `multipart/form-data` (RFC 7578), read as it arrives: the fields before the file whole and within bounds, then the
//! file piece by piece. What follows the file does not count.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem::Finder;

use crate::error::{ErrorCode, S3Error, S3Result};

/// The most bytes of a form before its file, boundaries included.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html>
pub const FIELDS_BYTES_MAX: usize = 20 * 1024;
/// The longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;
/// The field that is the file.
const FILE: &str = "file";

/// What ends a part: a line break, two dashes and the boundary.
#[derive(Debug, Clone)]
pub struct Delimiter(Vec<u8>);

impl Delimiter {
    /// Reads the boundary out of a `Content-Type`.
    ///
    /// # Errors
    /// `PreconditionFailed` for another type than `multipart/form-data`, as AWS calls it; `MalformedPOSTRequest` without a
    /// usable boundary.
    pub fn of_content_type(content_type: &str) -> S3Result<Self> {
        let mut pieces = content_type.split(';');
        let is_form =
            pieces.next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/form-data"));
        if !is_form {
            return Err(not_a_form());
        }
        let boundary = pieces.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
        });
        match boundary {
            Some(boundary)
                if (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
                    && boundary.bytes().all(|byte| (0x20..0x7f).contains(&byte)) =>
            {
                Ok(Self([b"\r\n--", boundary.as_bytes()].concat()))
            }
            _ => Err(malformed()),
        }
    }
}

/// The refusal of a POST to a bucket that is no form.
pub fn not_a_form() -> S3Error {
    S3Error::precondition_failed("Bucket POST must be of the enclosure-type multipart/form-data")
}

pub(super) fn malformed() -> S3Error {
    ErrorCode::MalformedPOSTRequest.into()
}

/// A field, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Where in the form the reader is.
#[derive(Debug)]
enum Place {
    /// Before the first delimiter.
    Preamble,
    /// Behind a delimiter.
    Delimited,
    /// At the headers of a part.
    Headers,
    /// In the value of this field.
    Value(String),
}

/// Reads the fields before the file.
#[derive(Debug)]
pub struct FieldReader {
    delimiter: Delimiter,
    buffer: BytesMut,
    consumed_bytes: usize,
    place: Place,
    fields: Vec<Field>,
}

/// A form, up to where its file begins.
#[derive(Debug)]
pub struct Form {
    /// The fields before the file, in order.
    pub fields: Vec<Field>,
    /// The file's name, as the client sent it; empty if it has none.
    pub file_name: String,
    /// Finds the end of the file.
    pub file: FileScanner,
    /// What was read of the file already.
    pub read_ahead: Bytes,
}

/// What more bytes made of a [`FieldReader`].
#[derive(Debug)]
pub enum Progress {
    /// More are needed.
    More(FieldReader),
    /// The file begins.
    File(Box<Form>),
}

impl FieldReader {
    /// A reader at the beginning of a form.
    #[must_use]
    pub fn new(delimiter: Delimiter) -> Self {
        // A form may begin with its delimiter, without the line break of all others.
        let buffer = BytesMut::from(b"\r\n".as_slice());
        Self { delimiter, buffer, consumed_bytes: 0, place: Place::Preamble, fields: Vec::new() }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `MalformedPOSTRequest`, `MaxPostPreDataLengthExceededError`, and `InvalidArgument` for a form that ends without a file.
    pub fn feed(mut self, data: &[u8]) -> S3Result<Progress> {
        self.buffer.extend_from_slice(data);
        while let Some(part) = self.step()? {
            if self.consumed_bytes > FIELDS_BYTES_MAX {
                return Err(too_long());
            }
            if let Part::File { name } = part {
                let file = FileScanner::new(&self.delimiter);
                let read_ahead = self.buffer.freeze();
                let form = Form { fields: self.fields, file_name: name, file, read_ahead };
                return Ok(Progress::File(Box::new(form)));
            }
        }
        if self.consumed_bytes.saturating_add(self.buffer.len()) > FIELDS_BYTES_MAX {
            return Err(too_long());
        }
        Ok(Progress::More(self))
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.advance(bytes.min(self.buffer.len()));
        self.consumed_bytes = self.consumed_bytes.saturating_add(bytes);
    }

    /// Goes one place on; `None` when that needs more bytes.
    fn step(&mut self) -> S3Result<Option<Part>> {
        match &mut self.place {
            Place::Preamble => {
                let Some(at) = find(&self.buffer, &self.delimiter.0) else { return Ok(None) };
                self.consume(at + self.delimiter.0.len());
                self.place = Place::Delimited;
            }
            Place::Delimited => {
                let padding = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                match self.buffer.get(padding..padding + 2) {
                    None => return Ok(None),
                    Some(b"\r\n") => {
                        self.consume(padding + 2);
                        self.place = Place::Headers;
                    }
                    Some(b"--") => return Err(no_file()),
                    Some(_) => return Err(malformed()),
                }
            }
            Place::Headers => {
                let Some(end) = find(&self.buffer, b"\r\n\r\n") else { return Ok(None) };
                let disposition = self.buffer.get(..end).and_then(disposition).ok_or_else(malformed)?;
                self.consume(end + 4);
                if disposition.name.eq_ignore_ascii_case(FILE) {
                    return Ok(Some(Part::File { name: disposition.file_name }));
                }
                self.place = Place::Value(disposition.name);
            }
            Place::Value(name) => {
                let Some(end) = find(&self.buffer, &self.delimiter.0) else { return Ok(None) };
                let value = self.buffer.get(..end).and_then(|value| std::str::from_utf8(value).ok());
                let value = value.ok_or_else(malformed)?.to_owned();
                let name = std::mem::take(name);
                self.fields.push(Field { name, value });
                self.consume(end + self.delimiter.0.len());
                self.place = Place::Delimited;
            }
        }
        Ok(Some(Part::Other))
    }
}

enum Part {
    File { name: String },
    Other,
}

fn find(text: &[u8], sought: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, sought)
}

fn too_long() -> S3Error {
    S3Error::new(ErrorCode::MaxPostPreDataLengthExceededError)
        .field("MaxPostPreDataLengthBytes", FIELDS_BYTES_MAX.to_string())
}

fn no_file() -> S3Error {
    S3Error::invalid_argument("file", "0", "POST requires exactly one file upload per request.")
}

/// A part's `Content-Disposition`.
struct Disposition {
    name: String,
    file_name: String,
}

/// Reads the headers of a part; `None` when they are not those of a form.
fn disposition(headers: &[u8]) -> Option<Disposition> {
    let headers = std::str::from_utf8(headers).ok()?;
    let value = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let (kind, mut rest) = value.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut file_name) = (None, None);
    loop {
        let (parameter, after) = rest.split_once('=')?;
        let (text, after) = parameter_value(after)?;
        let slot = match parameter.trim() {
            found if found.eq_ignore_ascii_case("name") => Some(&mut name),
            found if found.eq_ignore_ascii_case("filename") => Some(&mut file_name),
            _ => None,
        };
        if slot.is_some_and(|slot| slot.replace(text).is_some()) {
            return None;
        }
        match after.trim_start().strip_prefix(';') {
            Some(after) if !after.trim().is_empty() => rest = after,
            Some(_) => break,
            None if after.trim().is_empty() => break,
            None => return None,
        }
    }
    Some(Disposition { name: name?, file_name: file_name.unwrap_or_default() })
}

/// A quoted or bare value, and what follows. Browsers escape a quote as `%22` or with a backslash; other backslashes are
/// part of Windows' paths.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return Some((value.trim().to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' if characters.peek().is_some_and(|(_, next)| *next == '"') => {
                characters.next();
                value.push('"');
            }
            other => value.push(other),
        }
    }
    None
}

/// Finds where the file ends, over any split of the bytes.
#[derive(Debug)]
pub struct FileScanner {
    finder: Finder<'static>,
    /// The end of what came, while it may be the beginning of the delimiter.
    held: Bytes,
}

/// A piece of the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// There may be more; empty when all of it may be the beginning of the delimiter.
    More(Bytes),
    /// The last, possibly empty.
    Last(Bytes),
}

impl FileScanner {
    fn new(delimiter: &Delimiter) -> Self {
        Self { finder: Finder::new(&delimiter.0).into_owned(), held: Bytes::new() }
    }

    /// Takes the next bytes, and gives back those that are certainly the file's.
    pub fn scan(&mut self, data: Bytes) -> Piece {
        let held = std::mem::take(&mut self.held);
        let mut data = if held.is_empty() { data } else { Bytes::from([held, data].concat()) };
        if let Some(end) = self.finder.find(&data) {
            return Piece::Last(data.split_to(end));
        }
        let delimiter = self.finder.needle();
        let tail = data.len().saturating_sub(delimiter.len().saturating_sub(1));
        // A delimiter holds one carriage return, at its beginning.
        let begins = data.get(tail..).and_then(|tail| memchr::memrchr(b'\r', tail)).map(|at| tail + at);
        if let Some(at) = begins
            && data.get(at..).is_some_and(|end| delimiter.starts_with(end))
        {
            self.held = data.split_off(at);
        }
        Piece::More(data)
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
