//! The marks of a session that the token of an identity provider asks for.
//!
//! There are two forms: one claim with everything, and one claim for each thing, for providers that can send texts only.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp>

use std::collections::BTreeMap;

use serde_json::Value;

use crate::documents::Tag;
use crate::error::{Code, IamError, Result};
use crate::marks::Asked;

const TAGS: &str = "https://aws.amazon.com/tags";
const PRINCIPAL_TAG: &str = "https://aws.amazon.com/tags/principal_tags/";
const TRANSITIVE_KEYS: &str = "https://aws.amazon.com/tags/transitive_tag_keys";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

/// The marks that a token's claims ask for.
///
/// # Errors
/// `InvalidIdentityToken` for claims of these names that mean nothing: to overlook them would be to give a session other
/// tags than those that policies count on.
pub(crate) fn asked(claims: &BTreeMap<String, Value>) -> Result<Asked> {
    let mut asked = Asked::default();
    for (name, value) in claims {
        match name.as_str() {
            TAGS => nested(value, &mut asked)?,
            TRANSITIVE_KEYS => asked.transitive_keys.extend(keys(name, value)?),
            SOURCE_IDENTITY => asked.source_identity = Some(text(name, value)?),
            _ => match name.strip_prefix(PRINCIPAL_TAG) {
                Some(key) => asked.tags.push((key.to_owned(), text(name, value)?)),
                None if name.starts_with(TAGS) => return Err(unclear(name)),
                None => {}
            },
        }
    }
    Ok(asked)
}

fn nested(value: &Value, asked: &mut Asked) -> Result<()> {
    let Value::Object(members) = value else { return Err(unclear(TAGS)) };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("principal_tags", Value::Object(tags)) => {
                for (key, value) in tags {
                    let tag: Tag = (key.clone(), text(key, value)?);
                    asked.tags.push(tag);
                }
            }
            ("transitive_tag_keys", value) => asked.transitive_keys.extend(keys(name, value)?),
            _ => return Err(unclear(name)),
        }
    }
    Ok(())
}

/// A text, alone or as the only one of a list: a tag has one value.
fn text(name: &str, value: &Value) -> Result<String> {
    let one = match value {
        Value::Array(values) => match values.as_slice() {
            [one] => one,
            _ => return Err(unclear(name)),
        },
        one => one,
    };
    one.as_str().map(str::to_owned).ok_or_else(|| unclear(name))
}

fn keys(name: &str, value: &Value) -> Result<Vec<String>> {
    let Value::Array(values) = value else { return text(name, value).map(|key| vec![key]) };
    values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(|| unclear(name))).collect()
}

fn unclear(name: &str) -> IamError {
    IamError::new(Code::InvalidIdentityToken, format!("The claim {name} of the token cannot be understood."))
}

#[cfg(test)]
#[path = "marks_of_claims_tests.rs"]
mod tests;
