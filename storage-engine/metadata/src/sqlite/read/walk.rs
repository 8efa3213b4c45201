//! Walking keys in byte order and skipping what a delimiter rolls up.

/// The first byte string above every string that begins with `prefix`; `None` if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut bound = prefix.to_vec();
    while let Some(last) = bound.pop() {
        if let Some(next) = last.checked_add(1) {
            bound.push(next);
            return Some(bound);
        }
    }
    None
}

/// The common prefix that `delimiter` rolls `key` up to, if it does. `key` begins with `prefix`.
pub(crate) fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter?;
    let rest = key.get(prefix.len()..)?;
    let end = rest.find(delimiter)?.saturating_add(prefix.len()).saturating_add(delimiter.len());
    key.get(..end)
}

/// Where a walk stands: the next key it looks at is above `bound`, or equal to it if `inclusive`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) bound: Vec<u8>,
    pub(crate) inclusive: bool,
}

impl Cursor {
    /// The start of a page. `None` if nothing can follow.
    pub(crate) fn start(prefix: &str, delimiter: Option<&str>, after: Option<&str>) -> Option<Self> {
        let first = Self { bound: prefix.as_bytes().to_vec(), inclusive: true };
        let Some(after) = after.filter(|after| *after >= prefix) else { return Some(first) };
        if after.starts_with(prefix) && common_prefix(after, prefix, delimiter) == Some(after) {
            return Self::past(after);
        }
        Some(Self { bound: after.as_bytes().to_vec(), inclusive: false })
    }

    /// Past everything that begins with `prefix`. `None` if nothing can follow.
    pub(crate) fn past(prefix: &str) -> Option<Self> {
        Some(Self { bound: after_prefix(prefix.as_bytes())?, inclusive: true })
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
