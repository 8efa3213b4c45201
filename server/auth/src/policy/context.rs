//! What is known of a request beside who asks for what: the values of the condition keys.

use std::collections::{BTreeMap, BTreeSet};

/// The values of condition keys. The names of keys do not depend on case.
///
/// Only what the server itself found out belongs here, and what the request says where the key is defined as that: a
/// key that a client could set at will must not be one that policies trust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    values: BTreeMap<String, Vec<String>>,
    /// Keys that have one value, and of which there are several.
    unclear: BTreeSet<String>,
}

impl Context {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the one value of a key.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.values.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    /// Sets all the values of a key that may have several. None at all is as if the key were not there.
    pub fn set_all(&mut self, key: &str, values: Vec<String>) {
        if values.is_empty() {
            self.values.remove(&key.to_ascii_lowercase());
        } else {
            self.values.insert(key.to_ascii_lowercase(), values);
        }
    }

    /// Sets the keys of tags, `family` with the key of each behind it, in the place of what there was of that family. Tags have keys
    /// of their own also if these differ by case alone; where a policy asks for one of these, none is what it means.
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-requesttag>
    pub fn set_tags<K: AsRef<str>, V: AsRef<str>>(&mut self, family: &str, tags: &[(K, V)]) {
        let family = family.to_ascii_lowercase();
        self.values.retain(|key, _| !key.starts_with(&family));
        self.unclear.retain(|key| !key.starts_with(&family));
        for (key, value) in tags {
            let key = format!("{family}{}", key.as_ref().to_ascii_lowercase());
            let values = self.values.entry(key.clone()).or_default();
            values.push(value.as_ref().to_owned());
            if values.len() > 1 {
                self.unclear.insert(key);
            }
        }
    }

    /// Whether this key, in lower case, is one that tags share which differ by case alone.
    pub(super) fn is_unclear(&self, key: &str) -> bool {
        self.unclear.contains(key)
    }

    /// The values of a key; none if it is not there.
    #[must_use]
    pub fn get(&self, key: &str) -> &[String] {
        if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.of_lower(&key.to_ascii_lowercase());
        }
        self.of_lower(key)
    }

    fn of_lower(&self, key: &str) -> &[String] {
        self.values.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The value of a key that has exactly one.
    #[must_use]
    pub fn single(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            [value] => Some(value),
            _ => None,
        }
    }
}
