//! Users and roles as policies name them: by unique ids where they are kept, by ARNs where they are written and shown.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>

use granary_auth::policy::{Named, with_current_arns, with_unique_ids};

use crate::documents::{Document, Kind};
use crate::error::{Code, IamError, Result};
use crate::state::State;

impl State {
    /// Who has that ARN of a user or a role.
    pub(crate) fn named(&self, arn: &str) -> Named {
        let Some((account, resource)) =
            arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':'))
        else {
            return Named::Unknown;
        };
        if self.account(account).is_none() {
            return Named::Unknown;
        }
        let (kind, path) = resource.split_once('/').unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let found = match kind {
            "user" => self.user(account, name).ok().map(|user| (&user.head, Kind::User)),
            "role" => self.role(account, name).ok().map(|role| (&role.head, Kind::Role)),
            _ => None,
        };
        // Case and path tell ARNs apart, and names not.
        match found.filter(|(head, kind)| head.arn(*kind) == arn) {
            Some((head, _)) => Named::Id(head.id.clone()),
            None => Named::Nobody,
        }
    }

    /// The ARN that the user or role of that unique id has now.
    pub(crate) fn arn_of(&self, id: &str) -> Option<String> {
        match self.with_id(id)? {
            Document::User(user) => Some(user.head.arn(Kind::User)),
            Document::Role(role) => Some(role.head.arn(Kind::Role)),
            _ => None,
        }
    }

    /// A trust policy as it is kept.
    ///
    /// # Errors
    /// `MalformedPolicyDocument`: it names somebody who is not there.
    pub(crate) fn kept_trust(&self, text: &str) -> Result<String> {
        match with_unique_ids(text, |arn| self.named(arn)) {
            Ok(kept) => Ok(kept.into_owned()),
            Err(nobody) => Err(IamError::new(Code::MalformedPolicyDocument, nobody.to_string())),
        }
    }

    /// A trust policy as it is shown.
    pub(crate) fn shown_trust(&self, kept: &str) -> String {
        with_current_arns(kept, |id| self.arn_of(id)).into_owned()
    }
}

#[cfg(test)]
#[path = "principals_tests.rs"]
mod tests;
