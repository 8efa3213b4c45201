//! Encoding and reconstruction.

use reed_solomon_erasure::galois_8;

use crate::error::ErasureError;
use crate::matrix::{self, Row};
use crate::profile::Profile;

/// Columns are worked on in slices of this length: k+m of them fit the L2 cache of current servers.
pub const SLICE_LENGTH_BYTES: usize = 64 * 1024;

/// A column of a stripe: its number (data first, then parity) and its bytes.
pub type Column<'a> = (usize, &'a [u8]);

/// Encodes and reconstructs for one profile. Cheap to share, holds no buffers.
#[derive(Debug, Clone)]
pub struct Codec {
    profile: Profile,
    parity_rows: Vec<Row>,
}

impl Codec {
    /// The codec for `profile`.
    ///
    /// # Errors
    /// When the underlying code does not support the profile.
    pub fn new(profile: Profile) -> Result<Self, ErasureError> {
        Ok(Self { profile, parity_rows: matrix::parity_rows(profile)? })
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Fills all m parity columns from the data columns given; data columns not given count as zero.
    ///
    /// # Errors
    /// When lengths differ, a column is no data column of the profile or is given twice, or `parity` is not m columns.
    pub fn encode(&self, data: &[Column<'_>], parity: &mut [&mut [u8]]) -> Result<(), ErasureError> {
        self.check(data, self.profile.data())?;
        if parity.len() != self.profile.parity() {
            return Err(ErasureError::Column(self.profile.data() + parity.len()));
        }
        let rows: Vec<Row> = self
            .parity_rows
            .iter()
            .map(|row| data.iter().map(|(column, _)| row.get(*column).copied().unwrap_or(0)).collect())
            .collect();
        combine(data, &rows, parity)
    }

    /// Rebuilds the columns named in `wanted`, data or parity, into `out` (one buffer for each), from the
    /// columns in `available`. Zero columns of a narrow stripe may be given as zeros. The first k
    /// available columns are used.
    ///
    /// # Errors
    /// When fewer than k columns are available, or lengths or numbers do not fit.
    pub fn reconstruct(
        &self,
        available: &[Column<'_>],
        wanted: &[usize],
        out: &mut [&mut [u8]],
    ) -> Result<(), ErasureError> {
        let k = self.profile.data();
        self.check(available, self.profile.columns())?;
        let used = available
            .get(..k)
            .ok_or(ErasureError::TooFewColumns { available: available.len(), needed: k })?;
        if out.len() != wanted.len() {
            return Err(ErasureError::Column(wanted.len()));
        }
        let generator =
            used.iter().map(|(column, _)| self.generator_row(*column)).collect::<Result<Vec<_>, _>>()?;
        let decode = matrix::invert(generator)
            .ok_or(ErasureError::TooFewColumns { available: available.len(), needed: k })?;
        let rows = wanted
            .iter()
            .map(|&column| Ok(matrix::multiply_row(&self.generator_row(column)?, &decode)))
            .collect::<Result<Vec<_>, ErasureError>>()?;
        combine(used, &rows, out)
    }

    /// The row of the generator that makes `column` out of the data columns.
    fn generator_row(&self, column: usize) -> Result<Row, ErasureError> {
        let k = self.profile.data();
        if column < k {
            return Ok((0..k).map(|at| u8::from(at == column)).collect());
        }
        self.parity_rows.get(column - k).cloned().ok_or(ErasureError::Column(column))
    }

    fn check(&self, columns: &[Column<'_>], limit: usize) -> Result<(), ErasureError> {
        let mut seen = 0_u32;
        let expected_bytes = columns.first().map_or(0, |(_, bytes)| bytes.len());
        for (column, bytes) in columns {
            let bit = 1_u32.checked_shl(u32::try_from(*column).unwrap_or(u32::MAX)).unwrap_or(0);
            if *column >= limit || seen & bit != 0 {
                return Err(ErasureError::Column(*column));
            }
            seen |= bit;
            if bytes.len() != expected_bytes {
                return Err(ErasureError::Length { expected_bytes, actual_bytes: bytes.len() });
            }
        }
        Ok(())
    }
}

/// Makes each output the sum of the inputs times its row's coefficients, slice by slice.
fn combine(inputs: &[Column<'_>], rows: &[Row], out: &mut [&mut [u8]]) -> Result<(), ErasureError> {
    let expected_bytes = inputs.first().map_or(0, |(_, bytes)| bytes.len());
    if let Some(wrong) = out.iter().find(|buffer| buffer.len() != expected_bytes) {
        return Err(ErasureError::Length { expected_bytes, actual_bytes: wrong.len() });
    }
    let mut from = 0;
    while from < expected_bytes {
        let to = expected_bytes.min(from + SLICE_LENGTH_BYTES);
        for (row, buffer) in rows.iter().zip(out.iter_mut()) {
            let Some(target) = buffer.get_mut(from..to) else { continue };
            let mut first = true;
            for (&factor, (_, bytes)) in row.iter().zip(inputs) {
                let Some(source) = bytes.get(from..to) else { continue };
                if first {
                    galois_8::mul_slice(factor, source, target);
                    first = false;
                } else {
                    galois_8::mul_slice_xor(factor, source, target);
                }
            }
        }
        from = to;
    }
    Ok(())
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
