//! How many data and parity columns.

use std::fmt;
use std::str::FromStr;

use crate::error::ErasureError;

/// The most data columns.
pub const DATA_COLUMNS_MAX: u8 = 16;
/// The most parity columns.
pub const PARITY_COLUMNS_MAX: u8 = 8;

/// k data columns and m parity columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Profile {
    data: u8,
    parity: u8,
}

impl Profile {
    /// The profile `data`+`parity`.
    ///
    /// # Errors
    /// When `data` is not 1–16 or `parity` not 0–8.
    pub fn new(data: u8, parity: u8) -> Result<Self, ErasureError> {
        if (1..=DATA_COLUMNS_MAX).contains(&data) && parity <= PARITY_COLUMNS_MAX {
            Ok(Self { data, parity })
        } else {
            Err(ErasureError::Profile { data: data.into(), parity: parity.into() })
        }
    }

    /// k.
    #[must_use]
    pub fn data(self) -> usize {
        self.data.into()
    }

    /// m.
    #[must_use]
    pub fn parity(self) -> usize {
        self.parity.into()
    }

    /// k + m.
    #[must_use]
    pub fn columns(self) -> usize {
        self.data() + self.parity()
    }

    /// k as it is stored.
    #[must_use]
    pub fn data_columns(self) -> u8 {
        self.data
    }

    /// m as it is stored.
    #[must_use]
    pub fn parity_columns(self) -> u8 {
        self.parity
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.data, self.parity)
    }
}

impl FromStr for Profile {
    type Err = ErasureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || ErasureError::Syntax(text.chars().take(32).collect());
        let (data, parity) = text.split_once('+').ok_or_else(syntax)?;
        Self::new(data.parse().map_err(|_| syntax())?, parity.parse().map_err(|_| syntax())?)
    }
}
