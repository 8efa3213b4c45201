//! The store for clusters against the suite: alone, and as two nodes over one database.

use crate::pg;

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

    use super::pg;
    use granary_metadata::conformance::membership::{self, node_id};
    use granary_metadata::postgres::PostgresStore;

    async fn two_nodes() -> [Arc<PostgresStore>; 2] {
        let url = tokio::task::spawn_blocking(pg::fresh_database).await.unwrap();
        let open = async |n| {
            let mut options = pg::options(&url);
            options.node = Some(node_id(n));
            Arc::new(PostgresStore::open(options).await.unwrap())
        };
        [open(1).await, open(2).await]
    }

    #[tokio::test]
    async fn the_first_store_keeps_the_database() {
        let [one, _two] = two_nodes().await;
        membership::the_first_store_keeps_the_database(&*one.membership()).await;
    }

    #[tokio::test]
    async fn nodes_come_and_go() {
        let [one, two] = two_nodes().await;
        membership::nodes_come_and_go((&*one, &*one.membership()), &*two).await;
    }

    #[tokio::test]
    async fn open_volumes_have_an_owner() {
        let [one, two] = two_nodes().await;
        membership::open_volumes_have_an_owner((&*one, &*one.membership()), &*two).await;
    }

    #[tokio::test]
    async fn signs_of_life_count_once() {
        let [one, _two] = two_nodes().await;
        membership::signs_of_life_count_once(&*one.membership()).await;
    }

    #[tokio::test]
    async fn leases_have_one_holder() {
        let [one, _two] = two_nodes().await;
        membership::leases_have_one_holder(&*one.membership()).await;
    }

    #[tokio::test]
    async fn who_held_a_lease_once_does_not_hold_the_next() {
        let [one, _two] = two_nodes().await;
        membership::who_held_a_lease_once_does_not_hold_the_next(&*one.membership()).await;
    }

    #[tokio::test]
    async fn drives_are_emptied_and_retired() {
        let [one, two] = two_nodes().await;
        let members = one.membership();
        membership::drives_are_emptied_and_retired((&*one, &*members), &*two.membership()).await;
    }
}
