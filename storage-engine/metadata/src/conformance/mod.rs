//! The conformance suite: what every metadata store must do, told once.
//!
//! A backend implements [`Harness`] and calls [`conformance_tests!`](crate::conformance_tests) in a test file; each case becomes a test of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a suite of tests: panicking is how it tells a failure"
)]

pub mod objects;
pub mod random;
pub mod sample;

use std::sync::Arc;

use async_trait::async_trait;

use crate::store::MetadataStore;

/// A backend under test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The store; always the same data, opened anew after [`Harness::restart`].
    fn store(&self) -> Arc<dyn MetadataStore>;

    /// Closes the store and opens it again over the same data.
    async fn restart(&mut self);
}

/// Makes one test of each case of the suite. `$fresh` is an async expression that gives a [`Harness`] over an
/// empty store.
#[macro_export]
macro_rules! conformance_tests {
    ($fresh:expr) => {
        $crate::conformance_tests!(@cases $fresh;
            objects: put_get_replace_delete, writes_need_their_bucket, conditional_writes, conditional_deletes,
                writes_of_one_commit_are_applied_in_order;
        );
    };
    (@cases $fresh:expr; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                use $crate::conformance::Harness as _;
                let harness = $fresh.await;
                $crate::conformance::$module::$case(&*harness.store()).await;
            })+
        })+
    };
}
