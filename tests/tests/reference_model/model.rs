//! An S3 bucket that is obviously right: one map of objects, one of uploads, no concurrency, no disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use granary_tests::client::Refusal;
use md5::{Digest, Md5};

/// The smallest part but the last: 5 MiB.
pub(crate) const PART_BYTES_MIN: usize = 5 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) body: Bytes,
    pub(crate) etag: String,
    pub(crate) origin: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) origin: String,
    pub(crate) parts: BTreeMap<i32, Bytes>,
}

/// A condition on a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    IfAbsent,
    IfPresent,
    IfMatch(String),
}

/// A condition of a copy on its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceCondition {
    Always,
    IfMatch(String),
    IfNoneMatch(String),
}

/// A range of bytes as a client asks for it; both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Closed(usize, usize),
    From(usize),
    Last(usize),
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed(first, last) => write!(f, "bytes={first}-{last}"),
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Last(length) => write!(f, "bytes=-{length}"),
        }
    }
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entry {
    Key(String, usize, String),
    Prefix(String),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) uploads: BTreeMap<String, Upload>,
}

pub(crate) fn etag_of(body: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(body)))
}

impl Object {
    pub(crate) fn new(body: Bytes, origin: &str) -> Self {
        let etag = etag_of(&body);
        Self { body, etag, origin: origin.to_owned() }
    }
}

/// Whether a condition holds for the ETag of what is there.
pub(crate) fn check(current: Option<&str>, condition: &Condition) -> Result<(), Refusal> {
    let failed = Refusal::new(412, "PreconditionFailed");
    match (condition, current) {
        (Condition::Always, _) | (Condition::IfAbsent, None) | (Condition::IfPresent, Some(_)) => Ok(()),
        (Condition::IfAbsent, Some(_)) => Err(failed),
        (Condition::IfPresent | Condition::IfMatch(_), None) => Err(Refusal::new(404, "NoSuchKey")),
        (Condition::IfMatch(etag), Some(current)) if etag == current => Ok(()),
        (Condition::IfMatch(_), Some(_)) => Err(failed),
    }
}

impl Model {
    pub(crate) fn put(
        &mut self,
        key: &str,
        object: Object,
        condition: &Condition,
    ) -> Result<String, Refusal> {
        self.check(key, condition)?;
        let etag = object.etag.clone();
        self.objects.insert(key.to_owned(), object);
        Ok(etag)
    }

    pub(crate) fn check(&self, key: &str, condition: &Condition) -> Result<(), Refusal> {
        check(self.objects.get(key).map(|object| object.etag.as_str()), condition)
    }

    pub(crate) fn get(&self, key: &str) -> Result<&Object, Refusal> {
        self.objects.get(key).ok_or_else(|| Refusal::new(404, "NoSuchKey"))
    }

    /// Deleting what is not there succeeds, unless a condition asks for it.
    pub(crate) fn delete(&mut self, key: &str, condition: &Condition) -> Result<(), Refusal> {
        self.check(key, condition)?;
        self.objects.remove(key);
        Ok(())
    }

    /// The bytes of a range, and where it begins.
    pub(crate) fn range(&self, key: &str, span: Span) -> Result<(usize, Bytes), Refusal> {
        let object = self.get(key)?;
        let length = object.body.len();
        let (first, end) = match span {
            Span::Closed(first, last) => (first, length.min(last + 1)),
            Span::From(first) => (first, length),
            Span::Last(last) => (length.saturating_sub(last), length),
        };
        if first >= end {
            return Err(Refusal::new(416, "InvalidRange"));
        }
        Ok((first, object.body.slice(first..end)))
    }

    /// The whole listing, in byte order, with what a delimiter folds folded.
    pub(crate) fn list(&self, prefix: &str, delimiter: Option<&str>, start_after: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (key, object) in self.objects.range(start_after.to_owned()..) {
            if key == start_after || !key.starts_with(prefix) {
                continue;
            }
            let rest = key.strip_prefix(prefix).unwrap_or_default();
            let folded = delimiter.and_then(|delimiter| {
                rest.find(delimiter).map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]))
            });
            let entry = match folded {
                Some(folded) => Entry::Prefix(folded),
                None => Entry::Key(key.clone(), object.body.len(), object.etag.clone()),
            };
            if entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
        entries
    }

    pub(crate) fn upload(&mut self, id: &str) -> Result<&mut Upload, Refusal> {
        self.uploads.get_mut(id).ok_or_else(no_such_upload)
    }

    /// Number, length and ETag of each part.
    pub(crate) fn parts(&self, id: &str) -> Result<Vec<(i32, usize, String)>, Refusal> {
        let upload = self.uploads.get(id).ok_or_else(no_such_upload)?;
        Ok(upload.parts.iter().map(|(number, body)| (*number, body.len(), etag_of(body))).collect())
    }

    /// Completes an upload from `(number, etag)` as the client claims them. When several things are
    /// wrong at once, S3 does not say which it reports; all are returned.
    pub(crate) fn complete(
        &mut self,
        id: &str,
        claimed: &[(i32, String)],
        condition: &Condition,
    ) -> Result<String, Vec<Refusal>> {
        let upload = self.uploads.get(id).cloned().ok_or_else(|| vec![no_such_upload()])?;
        let mut faults: Vec<Refusal> = self.check(&upload.key, condition).err().into_iter().collect();
        if claimed.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            faults.push(Refusal::new(400, "InvalidPartOrder"));
        }
        let mut body = Vec::new();
        let mut digests = Vec::new();
        for (position, (number, etag)) in claimed.iter().enumerate() {
            let Some(part) = upload.parts.get(number).filter(|part| etag_of(part) == *etag) else {
                faults.push(Refusal::new(400, "InvalidPart"));
                continue;
            };
            if position + 1 < claimed.len() && part.len() < PART_BYTES_MIN {
                faults.push(Refusal::new(400, "EntityTooSmall"));
            }
            body.extend_from_slice(part);
            digests.extend_from_slice(&Md5::digest(part));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let etag = format!("\"{}-{}\"", hex::encode(Md5::digest(&digests)), claimed.len());
        let object = Object { body: body.into(), etag: etag.clone(), origin: upload.origin.clone() };
        self.objects.insert(upload.key, object);
        self.uploads.remove(id);
        Ok(etag)
    }
}

pub(crate) fn no_such_upload() -> Refusal {
    Refusal::new(404, "NoSuchUpload")
}
