//! The rules for tags of identities and of sessions.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules>

use crate::documents::Tag;
use crate::error::{Code, IamError, Result};

/// How many tags something may have.
pub(crate) const TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// Checks the tags that a request gives something.
///
/// # Errors
/// `ValidationError`; `of_repeated` for two tags whose keys are the same but for their case.
pub(crate) fn check(tags: &[Tag], of_repeated: Code) -> Result<()> {
    if tags.len() > TAGS_MAX {
        return Err(IamError::invalid(format!("There are at most {TAGS_MAX} tags.")));
    }
    for (at, (key, value)) in tags.iter().enumerate() {
        if key.is_empty() || !is_allowed(key, KEY_CHARS_MAX) || !is_allowed(value, VALUE_CHARS_MAX) {
            return Err(IamError::invalid(format!("The tag {key:?} is not allowed.")));
        }
        if contains(tags.get(..at).unwrap_or_default(), key) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(IamError::new(of_repeated, message));
        }
    }
    Ok(())
}

/// Whether there is a tag with that key, whatever its case.
pub(crate) fn contains(tags: &[Tag], key: &str) -> bool {
    tags.iter().any(|(other, _)| other.eq_ignore_ascii_case(key))
}

fn is_allowed(text: &str, longest_chars: usize) -> bool {
    let is_reserved = text.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("aws:"));
    let is_plain = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    !is_reserved && text.chars().count() <= longest_chars && text.chars().all(is_plain)
}

#[cfg(test)]
#[path = "tags_tests.rs"]
mod tests;
