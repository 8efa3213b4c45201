//! Small matrices over GF(2⁸): the generator's parity rows, and the inverse of any k of its rows.

use reed_solomon_erasure::galois_8::{self, ReedSolomon};

use crate::error::ErasureError;
use crate::profile::Profile;

/// A row of k coefficients.
pub(crate) type Row = Vec<u8>;

/// The parity rows of the generator, read off `reed-solomon-erasure` by encoding the unit vectors, so that
/// shards stay readable by any program that uses its matrix.
pub(crate) fn parity_rows(profile: Profile) -> Result<Vec<Row>, ErasureError> {
    let (k, m) = (profile.data(), profile.parity());
    if m == 0 {
        return Ok(Vec::new());
    }
    let bad = |_| ErasureError::Profile {
        data: profile.data_columns().into(),
        parity: profile.parity_columns().into(),
    };
    let coder = ReedSolomon::new(k, m).map_err(bad)?;
    let data: Vec<Vec<u8>> = (0..k).map(|column| (0..k).map(|at| u8::from(at == column)).collect()).collect();
    let mut parity = vec![vec![0_u8; k]; m];
    coder.encode_sep(&data, &mut parity).map_err(bad)?;
    Ok(parity)
}

/// The inverse of the square matrix `rows`, by Gauss–Jordan elimination. Every k rows of the generator are
/// independent, so for those it exists; `None` otherwise.
pub(crate) fn invert(mut rows: Vec<Row>) -> Option<Vec<Row>> {
    let size = rows.len();
    let mut inverse: Vec<Row> = (0..size).map(|r| (0..size).map(|c| u8::from(r == c)).collect()).collect();
    for pivot in 0..size {
        let found = (pivot..size).find(|&row| element(&rows, row, pivot) != 0)?;
        rows.swap(pivot, found);
        inverse.swap(pivot, found);
        let factor = galois_8::div(1, element(&rows, pivot, pivot));
        scale(rows.get_mut(pivot)?, factor);
        scale(inverse.get_mut(pivot)?, factor);
        let (pivot_row, pivot_inverse) = (rows.get(pivot)?.clone(), inverse.get(pivot)?.clone());
        for row in (0..size).filter(|&row| row != pivot) {
            let factor = element(&rows, row, pivot);
            add_scaled(rows.get_mut(row)?, &pivot_row, factor);
            add_scaled(inverse.get_mut(row)?, &pivot_inverse, factor);
        }
    }
    Some(inverse)
}

/// `left` × `matrix`.
pub(crate) fn multiply_row(left: &[u8], matrix: &[Row]) -> Row {
    let mut product = vec![0; matrix.first().map_or(0, Vec::len)];
    for (&factor, row) in left.iter().zip(matrix) {
        add_scaled(&mut product, row, factor);
    }
    product
}

fn element(rows: &[Row], row: usize, column: usize) -> u8 {
    rows.get(row).and_then(|r| r.get(column)).copied().unwrap_or(0)
}

fn scale(row: &mut [u8], factor: u8) {
    for value in row {
        *value = galois_8::mul(*value, factor);
    }
}

fn add_scaled(row: &mut [u8], other: &[u8], factor: u8) {
    for (value, &add) in row.iter_mut().zip(other) {
        *value ^= galois_8::mul(add, factor);
    }
}
