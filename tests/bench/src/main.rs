//! Placeholder until the scenarios land.
fn main() {}
