//! The store for clusters against the suite: alone, and as two nodes over one database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod pg;

use pg::Nodes;

mod one_node {
    use super::Nodes;

    granary_metadata::conformance_tests!(Nodes::fresh(1));
}

mod two_nodes {
    use super::Nodes;

    granary_metadata::conformance_tests!(Nodes::fresh(2));
}
