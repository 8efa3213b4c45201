//! JSON as policies need it: in order, every name once, and not deep.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::error::PolicyError;

/// How deep a policy may be nested; its grammar needs five levels.
const DEPTH_MAX: usize = 8;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    /// A boolean or a number, as it is written in a policy.
    Scalar(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Reads a document whose root is an object.
pub(super) fn parse(text: &[u8]) -> Result<Vec<(String, Json)>, PolicyError> {
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(PolicyError::NotAnObject);
    }
    let invalid = |error: serde_json::Error| PolicyError::InvalidJson(error.to_string());
    let mut reader = serde_json::Deserializer::from_slice(text);
    let root = Depth(DEPTH_MAX).deserialize(&mut reader).map_err(invalid)?;
    reader.end().map_err(invalid)?;
    match root {
        Json::Object(members) => Ok(members),
        _ => Err(PolicyError::NotAnObject),
    }
}

/// Reads a value that is nested at most so deep.
struct Depth(usize);

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Depth {
    fn inner<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.0.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(Depth(inner))? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut object: Vec<(String, Json)> = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!("duplicate element {name}")));
            }
            let value = members.next_value_seed(Depth(inner))?;
            object.push((name, value));
        }
        Ok(Json::Object(object))
    }
}

impl Json {
    /// The text of a string.
    pub(super) fn text(&self) -> Result<&str, PolicyError> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(PolicyError::Syntax),
        }
    }

    /// One text, or a list of texts.
    pub(super) fn texts(&self) -> Result<Vec<&str>, PolicyError> {
        match self {
            Self::Text(text) => Ok(vec![text]),
            Self::List(list) => list.iter().map(Self::text).collect(),
            _ => Err(PolicyError::Syntax),
        }
    }

    /// One text, number or boolean, or a list of them, as a condition's values are written.
    pub(super) fn values(&self) -> Result<Vec<&str>, PolicyError> {
        match self {
            Self::List(list) => list.iter().map(Self::scalar).collect(),
            value => Ok(vec![value.scalar()?]),
        }
    }

    fn scalar(&self) -> Result<&str, PolicyError> {
        match self {
            Self::Text(text) | Self::Scalar(text) => Ok(text),
            _ => Err(PolicyError::Syntax),
        }
    }

    /// The members of an object.
    pub(super) fn members(&self) -> Result<&[(String, Self)], PolicyError> {
        match self {
            Self::Object(members) => Ok(members),
            _ => Err(PolicyError::Syntax),
        }
    }
}
