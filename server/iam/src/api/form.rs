//! The parameters of a request: a form, as the query protocol has it.

use std::collections::BTreeMap;

use crate::documents::Tag;
use crate::error::{Code, IamError, Result};
use crate::tags;

/// The longest form: the largest policy, with every character escaped, and then some.
pub(crate) const FORM_BYTES_MAX: usize = 256 * 1024;
const PARAMETERS_MAX: usize = 1_000;

/// The parameters by name.
#[derive(Debug)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads `application/x-www-form-urlencoded` bytes.
    pub(crate) fn read(body: &[u8]) -> Result<Self> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if parameters.len() >= PARAMETERS_MAX {
                return Err(IamError::invalid("The request has too many parameters."));
            }
            if parameters.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(IamError::invalid(format!("The parameter {name} is given more than once.")));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter, if it is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that may be empty.
    pub(crate) fn get_any(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str> {
        self.get(name)
            .ok_or_else(|| IamError::invalid(format!("The request must contain the parameter {name}.")))
    }

    /// A number within bounds.
    pub(crate) fn number(&self, name: &str, low: u32, high: u32) -> Result<Option<u32>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (low..=high).contains(number));
        number.map(Some).ok_or_else(|| {
            IamError::invalid(format!("The value of {name} must be a number from {low} to {high}."))
        })
    }

    /// `true` or `false`; `false` if it is not there.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(IamError::invalid(format!("The value of {name} must be true or false."))),
        }
    }

    /// The values of a list: `NAME.member.1` and so on, with what follows the number.
    pub(crate) fn members(&self, name: &str, rest: &str) -> Vec<&str> {
        let member = |number: usize| self.get_any(&format!("{name}.member.{number}{rest}"));
        (1..=PARAMETERS_MAX).map_while(member).collect()
    }

    /// The tags of the request.
    pub(crate) fn tags(&self) -> Result<Vec<Tag>> {
        let tags = self.unchecked_tags()?;
        tags::check(&tags, Code::InvalidInput)?;
        Ok(tags)
    }

    /// The tags of the request, whatever they are.
    pub(crate) fn unchecked_tags(&self) -> Result<Vec<Tag>> {
        let (keys, values) = (self.members("Tags", ".Key"), self.members("Tags", ".Value"));
        if keys.len() != values.len() {
            return Err(IamError::invalid("Each tag has a key and a value."));
        }
        Ok(keys.into_iter().map(str::to_owned).zip(values.into_iter().map(str::to_owned)).collect())
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
