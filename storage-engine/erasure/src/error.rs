//! What the codec refuses.

/// Bad input to the codec. None of these can be caused by stored bytes; they are caller mistakes or
/// losses beyond what the code covers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErasureError {
    /// k or m out of range.
    #[error("erasure code {data}+{parity} is outside 1–16 data and 0–8 parity columns")]
    Profile {
        /// Data columns asked for.
        data: u32,
        /// Parity columns asked for.
        parity: u32,
    },
    /// Text that is not `k+m`.
    #[error("an erasure code is written k+m, such as 4+2, not {0:?}")]
    Syntax(String),
    /// Columns of one call differ in length.
    #[error(
        "columns of one stripe have equal lengths, expected {expected_bytes} bytes and got {actual_bytes}"
    )]
    Length {
        /// The length of the first column.
        expected_bytes: usize,
        /// The length that differs.
        actual_bytes: usize,
    },
    /// A column number that the profile does not have, or has twice in one call.
    #[error("column {0} is not in this profile or was given twice")]
    Column(usize),
    /// Fewer than k columns are there.
    #[error("{available} columns are readable and {needed} are needed")]
    TooFewColumns {
        /// How many were given.
        available: usize,
        /// k.
        needed: usize,
    },
}
