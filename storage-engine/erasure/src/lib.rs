//! The k+m erasure code: Reed–Solomon over GF(2⁸), systematic, with the matrix of `reed-solomon-erasure`.
//!
//! A [`Codec`] turns k data columns of equal length into m parity columns, and any k of the k+m back into
//! the columns that are asked for and no others. It works byte position by byte position, so callers may
//! cut columns anywhere; internally it goes in slices of [`SLICE_LENGTH_BYTES`] so that the k+m slices
//! in flight stay in the L2 cache. Columns that are all zero (a narrow stripe has them) need not be given.
//!
//! Reed–Solomon does not detect corruption: callers give only columns whose hashes they have checked, and
//! check the hash of what comes out.

mod acceleration;
mod codec;
mod error;
mod matrix;
mod profile;

pub use acceleration::{Acceleration, measure_acceleration};
pub use codec::{Codec, Column, SLICE_LENGTH_BYTES};
pub use error::ErasureError;
pub use profile::{DATA_COLUMNS_MAX, PARITY_COLUMNS_MAX, Profile};
