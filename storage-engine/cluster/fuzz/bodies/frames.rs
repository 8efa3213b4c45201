//! Any frame between nodes: a message, the header that authenticates it, and a body with bytes to be written, at
//! arbitrary splits. See `granary_cluster::rpc::fuzzing`.
//!
//! Input: one byte for the length of the pieces, then the bytes.

use granary_cluster::rpc::fuzzing;

pub(crate) fn run(data: &[u8]) {
    let Some((piece_bytes, data)) = data.split_first() else { return };
    fuzzing::message(data);
    fuzzing::header(data);
    fuzzing::bulk(data, usize::from(*piece_bytes));
}
