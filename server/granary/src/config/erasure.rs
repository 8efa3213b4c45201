//! `k+m`: data and parity shards of a stripe.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most data shards a stripe may have.
const MAX_DATA: u8 = 16;
/// The most parity shards a stripe may have.
const MAX_PARITY: u8 = 8;

/// An erasure code as written, `4+2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ErasureSetting {
    data: u8,
    parity: u8,
}

impl ErasureSetting {
    /// k: shards that hold data, 1 to 16.
    #[must_use]
    pub fn data(self) -> u8 {
        self.data
    }

    /// m: shards that may be lost, 0 to 8.
    #[must_use]
    pub fn parity(self) -> u8 {
        self.parity
    }

    /// k + m: each shard lies on a drive of its own.
    #[must_use]
    pub fn drives(self) -> usize {
        usize::from(self.data) + usize::from(self.parity)
    }
}

impl fmt::Display for ErasureSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.data, self.parity)
    }
}

impl FromStr for ErasureSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| {
            ((1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
                .then(|| part.parse::<u8>().ok())
                .flatten()
        };
        let parsed = text.split_once('+').and_then(|(data, parity)| Some((number(data)?, number(parity)?)));
        match parsed {
            Some((data @ 1..=MAX_DATA, parity @ 0..=MAX_PARITY)) => Ok(Self { data, parity }),
            _ => Err(format!("{text:?} is not an erasure code: k+m, with k from 1 to 16 and m from 0 to 8")),
        }
    }
}

impl TryFrom<String> for ErasureSetting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ErasureSetting> for String {
    fn from(setting: ErasureSetting) -> Self {
        setting.to_string()
    }
}
