//! Where the metadata is, as written in the settings.

use std::fmt;
use std::str::FromStr;

use granary_engine::{MetadataChoice, PostgresOptions};
use serde::{Deserialize, Serialize};

/// `embedded`, or the URL of a Postgres database. Its password is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct MetadataSetting {
    url: Option<String>,
}

impl MetadataSetting {
    /// The metadata on the drives themselves.
    pub const EMBEDDED: Self = Self { url: None };

    /// What the engine is to open.
    ///
    /// # Errors
    /// A URL that is not one of Postgres; the text does not quote it.
    pub fn choice(&self) -> Result<MetadataChoice, String> {
        match &self.url {
            None => Ok(MetadataChoice::Embedded),
            Some(url) => {
                let options = PostgresOptions::new(url).map_err(|error| error.to_string())?;
                Ok(MetadataChoice::Postgres(Box::new(options)))
            }
        }
    }

    /// The setting without the password.
    fn shown(&self) -> String {
        let Some(url) = &self.url else { return "embedded".to_owned() };
        let Some((scheme, rest)) = url.split_once("://") else { return "(not a URL)".to_owned() };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        let database = path.split('?').next().unwrap_or_default();
        format!("{scheme}://{hosts}/{database}")
    }
}

impl FromStr for MetadataSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let setting = match text {
            "embedded" => Self::EMBEDDED,
            _ => Self { url: Some(text.to_owned()) },
        };
        setting.choice().map(|_| setting)
    }
}

impl TryFrom<String> for MetadataSetting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MetadataSetting> for String {
    fn from(setting: MetadataSetting) -> Self {
        setting.shown()
    }
}

impl fmt::Display for MetadataSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for MetadataSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
