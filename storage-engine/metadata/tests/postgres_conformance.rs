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

mod membership {
    use std::sync::Arc;

    use granary_metadata::conformance::membership::{self, node_id};
    use granary_metadata::postgres::PostgresStore;
    use granary_metadata::{Membership, MetadataStore};

    use super::pg;

    async fn two_nodes() -> [Arc<PostgresStore>; 2] {
        let url = tokio::task::spawn_blocking(pg::fresh_database).await.unwrap();
        let open = async |n| {
            let mut options = pg::options(&url);
            options.node = Some(node_id(n));
            Arc::new(PostgresStore::open(options).await.unwrap())
        };
        [open(1).await, open(2).await]
    }

    macro_rules! cases {
        ($($case:ident($($argument:ident),+);)+) => {
            $(#[tokio::test]
            async fn $case() {
                let [one, two] = two_nodes().await;
                let members: &dyn Membership = &*one.membership();
                #[allow(unused_variables, reason = "each case uses its part")]
                let (one, two): ((&dyn MetadataStore, _), &dyn MetadataStore) = ((&*one, members), &*two);
                membership::$case($($argument),+).await;
            })+
        };
    }

    cases! {
        the_first_store_keeps_the_database(members);
        nodes_come_and_go(one, two);
        open_volumes_have_an_owner(one, two);
        leases_have_one_holder(members);
    }
}
