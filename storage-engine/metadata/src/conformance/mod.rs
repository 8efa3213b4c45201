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

pub mod buckets;
pub mod concurrency;
pub mod events;
pub mod identities;
pub mod lists;
pub mod locks;
pub mod membership;
pub mod objects;
pub mod promises;
pub mod random;
pub mod renames;
pub mod sample;
pub mod seals;
pub mod settings;
pub mod side;
pub mod transitions;
pub mod uploads;
pub mod versioning;
pub mod versions;
pub mod volumes;
pub mod warm;

pub use identities as identities_kept;
pub use locks as locks_kept;

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
        $crate::conformance_tests!(@cases store $fresh;
            buckets: create_find_delete, only_empty_buckets_are_deleted, listed_in_pages;
            objects: put_get_replace_delete, writes_need_their_bucket, conditional_writes, conditional_deletes,
                writes_of_one_commit_are_applied_in_order;
            promises: kept_promises_are_applied, broken_promises_apply_nothing,
                late_promises_are_unseen_and_hold_up_nobody;
            versions: the_newest_is_current, deleting_uncovers_the_older, delete_markers_hide_the_key;
            versioning: the_bucket_decides_what_a_delete_does, conditions_see_no_delete_marker,
                writers_that_do_not_know_the_bucket_are_refused, deleting_a_marker_brings_the_key_back,
                version_pages_equal_the_reference, listing_goes_on_behind_versions_that_are_gone;
            renames: the_old_key_goes_with_the_new_one, refused_renames_change_nothing, renames_leave_versions;
            uploads: parts_come_and_go, parts_refer_to_blobs_that_are_there, uploads_belong_to_their_key, completion_hands_the_parts_over,
                refused_completions_change_nothing, blobs_live_with_their_references,
                blobs_are_moved_by_comparison, ten_thousand_parts;
            side: acls_live_with_their_version, tags_live_with_their_version, tags_are_for_one_write, older_versions_keep_their_tags,
                documents_belong_to_their_bucket, progress_of_background_work_is_no_change_of_a_configuration;
            locks: retained_versions_stay, legal_holds_stay_until_they_are_taken_away,
                versions_get_the_default_of_their_bucket, retentions_are_weakened_only_by_who_may,
                a_locked_null_version_is_not_replaced, expected_versions_go_and_others_stay;
            volumes: ends_are_monotonic, sealing_fences_the_owner, only_empty_sealed_volumes_are_freed,
                content_needs_its_volumes, content_lies_below_the_committed_end,
                sealing_fixes_what_may_be_referred_to, objects_are_moved_by_comparison, shards_move_between_drives,
                a_retired_drive_stays_so_and_takes_nothing, listed_in_pages, drives_by_slot;
            transitions: packed_objects_change_class_and_place, large_objects_change_class_with_their_blobs,
                older_versions_change_class, restores_live_with_their_version, shared_blobs_are_left_to_the_others,
                copies_are_shared_while_they_are_there, blobs_are_left_only_by_who_names_them, class_and_restore_stay_while_blobs_are_left_one_by_one;
            warm: packed_copies_are_accounted, large_copies_are_accounted, large_copies_grow_part_by_part,
                begun_copies_are_restored_or_dropped, copies_outlive_their_version_until_dropped,
                restores_are_wanted_and_done, restored_copies_end_with_the_class_that_was_restored,
                rows_are_found_by_kind_and_place, copies_need_their_volumes;
            seals: encrypted_objects_are_kept_and_counted, moves_leave_the_encryption,
                completions_may_be_encrypted;
            identities: changes_follow_each_other;
            events: events_are_queued_with_their_write, events_tell_delete_markers, events_are_listed_and_finished,
                usage_follows_the_writes;
            lists: pages_equal_the_reference, entries_show_the_object, many_keys_below_a_common_prefix,
                upload_pages_equal_the_reference;
            random: changes_equal_the_model, changes_equal_the_model_while_versioning_changes;
        );
        $crate::conformance_tests!(@cases harness $fresh;
            concurrency: one_of_many_wins, writes_of_one_key_keep_an_order, refused_commits_have_no_neighbours,
                dropped_calls_leave_nothing_in_part, restarts_keep_everything, a_closed_store_refuses;
            settings: survive_a_restart;
            identities_kept: one_of_many_changes_wins;
            locks_kept: survive_a_restart;
        );
    };
    (@cases $with:ident $fresh:expr; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                #[allow(unused_mut, reason = "some cases restart the store")]
                let mut harness = $fresh.await;
                $crate::conformance_tests!(@run $with harness $module $case);
            })+
        })+
    };
    (@run store $harness:ident $module:ident $case:ident) => {{
        use $crate::conformance::Harness as _;
        $crate::conformance::$module::$case(&*$harness.store()).await;
    }};
    (@run harness $harness:ident $module:ident $case:ident) => {
        $crate::conformance::$module::$case(&mut $harness).await;
    };
}
