//! A versioned S3 bucket that is obviously right: of each key a list of versions, the newest last.

use std::collections::BTreeMap;

use bytes::Bytes;
use granary_tests::client::Refusal;

use crate::model::{Condition, check, etag_of};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    #[default]
    Never,
    Enabled,
    Suspended,
}

/// A version: its id as S3 shows it, and its body, or `None` for a delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) body: Option<Bytes>,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Version { key: String, id: String, latest: bool, etag: Option<String> },
    Prefix(String),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Versioned {
    pub(crate) status: Status,
    pub(crate) keys: BTreeMap<String, Vec<Version>>,
}

impl Versioned {
    /// Makes a version that the server gave this id (`None`: it showed none) the newest.
    pub(crate) fn push(&mut self, key: &str, id: Option<&str>, body: Option<Bytes>) {
        let id = id.unwrap_or("null").to_owned();
        let versions = self.keys.entry(key.to_owned()).or_default();
        versions.retain(|version| version.id != id);
        versions.push(Version { id, body });
    }

    /// Whether the newest version allows a write; a delete marker counts as no object.
    pub(crate) fn check(&self, key: &str, condition: &Condition) -> Result<(), Refusal> {
        check(self.current_etag(key).as_deref(), condition)
    }

    /// The ETag of the newest version; none if that is a delete marker.
    pub(crate) fn current_etag(&self, key: &str) -> Option<String> {
        let newest = self.keys.get(key)?.last()?;
        newest.body.as_ref().map(|body| etag_of(body))
    }

    /// Whether a new version may have this id now.
    pub(crate) fn fits(&self, key: &str, id: Option<&str>) -> bool {
        let known = |id: &str| self.keys.get(key).into_iter().flatten().any(|version| version.id == id);
        match self.status {
            Status::Never => id.is_none(),
            // A write tells no null version, a delete marker does.
            Status::Suspended => id.is_none_or(|id| id == "null"),
            Status::Enabled => id.is_some_and(|id| id != "null" && !known(id)),
        }
    }

    /// Deletes a version for good; tells whether it was a delete marker.
    pub(crate) fn delete(&mut self, key: &str, id: &str) -> bool {
        let Some(versions) = self.keys.get_mut(key) else { return false };
        let marker = versions.iter().any(|version| version.id == id && version.body.is_none());
        versions.retain(|version| version.id != id);
        if versions.is_empty() {
            self.keys.remove(key);
        }
        marker
    }

    pub(crate) fn get(&self, key: &str, id: Option<&str>) -> Result<Bytes, Refusal> {
        let versions = self.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let found = match id {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id == id),
        };
        match (found, id) {
            (None, None) => Err(Refusal::new(404, "NoSuchKey")),
            (None, Some(_)) => Err(Refusal::new(404, "NoSuchVersion")),
            (Some(version), None) => version.body.clone().ok_or_else(|| Refusal::new(404, "NoSuchKey")),
            (Some(version), Some(_)) => {
                version.body.clone().ok_or_else(|| Refusal::new(405, "MethodNotAllowed"))
            }
        }
    }

    /// The whole listing of versions.
    pub(crate) fn list(&self, prefix: &str, delimiter: Option<&str>) -> Vec<Line> {
        let mut lines = Vec::new();
        for (key, versions) in self.keys.iter().filter(|(key, _)| key.starts_with(prefix)) {
            let rest = key.strip_prefix(prefix).unwrap_or_default();
            if let Some(at) = delimiter.and_then(|delimiter| rest.find(delimiter)) {
                let folded = Line::Prefix(format!("{prefix}{}", &rest[..=at]));
                if lines.last() != Some(&folded) {
                    lines.push(folded);
                }
                continue;
            }
            lines.extend(versions.iter().rev().enumerate().map(|(place, version)| Line::Version {
                key: key.clone(),
                id: version.id.clone(),
                latest: place == 0,
                etag: version.body.as_ref().map(|body| etag_of(body)),
            }));
        }
        lines
    }

    /// The keys a plain listing shows.
    pub(crate) fn current_keys(&self) -> Vec<String> {
        let shown = |versions: &Vec<Version>| versions.last().is_some_and(|version| version.body.is_some());
        self.keys.iter().filter(|(_, versions)| shown(versions)).map(|(key, _)| key.clone()).collect()
    }
}
