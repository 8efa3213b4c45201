//! Kernels that need `unsafe`: the one crate that may say it.

pub mod md5;
