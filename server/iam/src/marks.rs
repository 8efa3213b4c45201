//! What a session of a role is marked with, beside its policies: tags, and the identity of whom it all began with.
//!
//! Sources: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html>

use granary_auth::Session;
use granary_auth::policy::Context;
use serde::{Deserialize, Serialize};

use crate::documents::Tag;
use crate::error::{Code, IamError, Result};
use crate::names;
use crate::tags::{self, TAGS_MAX};

const TAG_SESSION: &str = "sts:TagSession";
const SET_SOURCE_IDENTITY: &str = "sts:SetSourceIdentity";

/// The marks of a session. A token with marks that only later releases know is refused: what policies deny by these would be
/// overlooked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Marks {
    /// Session tags that end with the session.
    pub(crate) tags: Vec<Tag>,
    /// Session tags that sessions inherit which are made with this one.
    pub(crate) transitive_tags: Vec<Tag>,
    /// What all sessions of a chain have in common once one of them has it.
    pub(crate) source_identity: Option<String>,
}

/// Those of a session that was given none.
pub(crate) static NONE: Marks =
    Marks { tags: Vec::new(), transitive_tags: Vec::new(), source_identity: None };

impl Marks {
    /// Whether there are any tags.
    pub(crate) fn has_tags(&self) -> bool {
        !self.tags.is_empty() || !self.transitive_tags.is_empty()
    }

    /// The tags of the principal: those of the session, and those of its role that the session has none of.
    pub(crate) fn over(&self, role_tags: &[Tag]) -> Vec<Tag> {
        let mut all = [self.tags.as_slice(), &self.transitive_tags].concat();
        let others: Vec<Tag> =
            role_tags.iter().filter(|(key, _)| !tags::contains(&all, key)).cloned().collect();
        all.extend(others);
        all
    }
}

/// The marks that a request asks for, by its parameters or by the claims of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) tags: Vec<Tag>,
    /// The keys of those tags that are to be transitive.
    pub(crate) transitive_keys: Vec<String>,
    pub(crate) source_identity: Option<String>,
}

/// The marks that a session gets if policies let it.
#[derive(Debug)]
pub(crate) struct Marking {
    /// The tags of this very request: others are inherited.
    passed: Vec<Tag>,
    /// All marks of the session.
    pub(crate) marks: Marks,
}

impl Asked {
    /// Checks what is asked for, and adds what the session inherits from the one that it is made with.
    ///
    /// # Errors
    /// `ValidationError`, `InvalidParameterValue`.
    pub(crate) fn check(self, parent: Option<&Session>) -> Result<Marking> {
        let refused = |message: String| Err(IamError::new(Code::InvalidParameterValue, message));
        tags::check(&self.tags, Code::InvalidParameterValue)?;
        let inherited = parent.map(|session| session.transitive_tags.as_slice()).unwrap_or_default();
        if let Some((key, _)) = self.tags.iter().find(|(key, _)| tags::contains(inherited, key)) {
            return refused(format!(
                "The calling session hands down the tag {key:?}, which cannot be changed."
            ));
        }
        if self.transitive_keys.len() > TAGS_MAX {
            return Err(IamError::invalid(format!("There are at most {TAGS_MAX} transitive tag keys.")));
        }
        if let Some(key) = self.transitive_keys.iter().find(|key| !tags::contains(&self.tags, key)) {
            return refused(format!("The request has no tag {key:?} that could be transitive."));
        }
        let source_identity = source_identity(self.source_identity, parent)?;
        let is_transitive =
            |tag: &Tag| self.transitive_keys.iter().any(|key| key.eq_ignore_ascii_case(&tag.0));
        let (transitive, tags): (Vec<Tag>, Vec<Tag>) = self.tags.iter().cloned().partition(is_transitive);
        let transitive_tags = [inherited, &transitive].concat();
        Ok(Marking { passed: self.tags, marks: Marks { tags, transitive_tags, source_identity } })
    }
}

/// The source identity of a session: once there is one it stays.
fn source_identity(asked: Option<String>, parent: Option<&Session>) -> Result<Option<String>> {
    let inherited = parent.and_then(|session| session.source_identity.clone());
    match (asked, inherited) {
        (Some(asked), Some(inherited)) if asked != inherited => Err(IamError::invalid(
            "The calling session has a source identity already, which cannot be changed.",
        )),
        (Some(asked), _) => names::check_session_text("SourceIdentity", &asked).map(|()| Some(asked)),
        (None, inherited) => Ok(inherited),
    }
}

impl Marking {
    /// What must be permitted: the action itself, and to mark the session, with what it inherits too.
    pub(crate) fn permissions<'a>(&'a self, action: &'a str) -> impl Iterator<Item = &'a str> {
        let tags = self.marks.has_tags().then_some(TAG_SESSION);
        let source_identity = self.marks.source_identity.is_some().then_some(SET_SOURCE_IDENTITY);
        std::iter::once(action).chain(tags).chain(source_identity)
    }

    /// Sets the condition keys that are about the marks.
    pub(crate) fn describe(&self, context: &mut Context) {
        context.set_tags("aws:RequestTag/", &self.passed);
        let keys = |tags: &[Tag]| tags.iter().map(|(key, _)| key.clone()).collect();
        context.set_all("aws:TagKeys", keys(&self.passed));
        context.set_all("sts:TransitiveTagKeys", keys(&self.marks.transitive_tags));
        if let Some(source_identity) = &self.marks.source_identity {
            context.set("sts:SourceIdentity", source_identity.as_str());
        }
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
