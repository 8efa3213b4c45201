//! Tags of users, roles and policies.

use super::call::Call;
use super::paging::Page;
use super::xml::Xml;
use crate::documents::Tag;
use crate::error::{IamError, Result};
use crate::tags::TAGS_MAX;

/// What becomes of the tags of something.
pub(super) enum TagChange {
    /// These are set.
    Set(Vec<Tag>),
    /// Those of these keys are removed.
    Remove(Vec<String>),
}

/// The change that the request is about: `Tag…` sets, `Untag…` removes.
pub(super) fn change(call: &Call<'_>) -> Result<TagChange> {
    if call.action.starts_with("iam:Untag") {
        let keys = call.form.members("TagKeys", "").into_iter().map(str::to_owned);
        return Ok(TagChange::Remove(keys.collect()));
    }
    call.form.tags().map(TagChange::Set)
}

impl TagChange {
    pub(super) fn apply(&self, tags: &mut Vec<Tag>) -> Result<()> {
        match self {
            Self::Remove(keys) => {
                tags.retain(|(key, _)| !keys.iter().any(|removed| removed.eq_ignore_ascii_case(key)));
            }
            Self::Set(set) => {
                for (key, value) in set {
                    tags.retain(|(other, _)| !other.eq_ignore_ascii_case(key));
                    tags.push((key.clone(), value.clone()));
                }
                tags.sort();
                if tags.len() > TAGS_MAX {
                    return Err(IamError::limit("TagsPerResource", TAGS_MAX));
                }
            }
        }
        Ok(())
    }
}

/// The answer that lists tags.
pub(super) fn list(call: &Call<'_>, tags: &[Tag]) -> Result<Xml> {
    let page = Page::of(call.form, tags.to_vec(), |(key, _)| key.clone())?;
    let mut xml = Xml::new();
    xml.tags(&page.items);
    page.end(&mut xml);
    Ok(xml)
}
