//! Named crash points: places where tests kill the process to prove that recovery works.
//!
//! Each step that persists something calls [`crash_point`] with its own name. Builds with debug assertions
//! abort there when the environment variable `GRANARY_CRASH_POINT` names the point; release builds compile
//! the call to nothing.

/// Every crash point of the program. Tests iterate this list; a call with a name outside it fails an assertion.
pub const CRASH_POINTS: &[&str] = &[
    "format.after_identity",
    "format.after_generation",
    "secret_file.before_rename",
    "secret_file.after_rename",
    "metadata.after_apply_before_durable",
    "metadata.before_commit",
    "metadata.after_log_append_before_flush",
    "metadata.after_log_flush",
    "metadata.after_commit_before_log",
    "metadata.after_commit_before_answer",
    "metadata.snapshot_after_copy",
    "metadata.snapshot_before_rename",
    "metadata.snapshot_after_rename",
    "metadata.snapshot_before_log_cut",
    "metadata.spare_before_flush",
    "metadata.spare_after_flush",
    "metadata.spare_before_rename",
    "metadata.spare_after_rename",
    "metadata.rebuild_after_copy",
    "metadata.rebuild_before_rename",
    "drive.after_write_before_flush",
    "drive.after_flush_before_commit",
    "volume.after_file",
    "volume.after_files_before_open",
    "volume.after_open_before_write",
    "volume.before_seal",
    "group.after_commit_before_ack",
    "group.after_commit_apart_before_ack",
    "object.after_commit_before_ack",
    "part.after_commit_before_ack",
    "blob.after_runs_before_flush",
    "blob.after_flush_before_commit",
    "compact.after_copy_before_move",
    "compact.after_move_before_free",
    "reclaim.after_free_before_remove",
    "reclaim.after_file",
    "reclaim.after_remove_before_forget",
    "reclaim.after_cut",
    "quarantine.after_rename",
    "ends.before_rename",
    "ends.after_rename",
    "adopt.after_identity",
    "adopt.after_members",
    "adopt.after_retire",
    "lifecycle.after_commit_before_place",
    "lifecycle.after_place",
    "heal.before_install",
    "heal.after_install_before_move",
    "move.before_copy",
    "move.after_install_before_check",
    "move.after_check_before_swap",
    "move.after_swap",
    "tier.after_pack_before_verify",
    "tier.after_pack_verify_before_commit",
    "tier.after_pack_commit",
    "tier.after_labels",
    "tier.after_copy_before_verify",
    "tier.after_verify_before_commit",
    "tier.after_blob",
    "tier.after_commit",
    "warm.after_part_before_commit",
    "warm.after_part",
    "warm.after_copy_before_commit",
    "warm.after_commit",
    "warm.before_expire",
    "warm.before_drop",
    "warm.after_drop",
    "recover.after_copy_before_finish",
    "fail_over.after_tail",
    "fail_over.before_volume",
    "fail_over.before_end",
    "fail_over.after_end",
    "fail_over.before_bucket",
    "fail_over.before_recommit",
    "fail_over.after_recommit",
    "fail_over.before_settle",
];

/// The environment variable that arms one crash point: `name`, or `name:nth` to die at the nth pass (from 1).
pub const CRASH_POINT_VARIABLE: &str = "GRANARY_CRASH_POINT";

/// Aborts the process if `name` is the armed crash point. Does nothing in builds without debug assertions.
#[inline]
pub fn crash_point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{CRASH_POINT_VARIABLE, CRASH_POINTS};

    struct Armed {
        name: String,
        passes_left: AtomicU64,
    }

    /// The environment is read once: reading it on every call would cost, and tests arm child processes.
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    pub(super) fn pass(name: &'static str) {
        debug_assert!(CRASH_POINTS.contains(&name), "crash point {name} is not in CRASH_POINTS");
        let armed = ARMED.get_or_init(|| std::env::var(CRASH_POINT_VARIABLE).ok().map(|text| parse(&text)));
        let Some(armed) = armed.as_ref().filter(|armed| armed.name == name) else { return };
        if armed.passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }

    fn parse(text: &str) -> Armed {
        let (name, nth) = match text.rsplit_once(':') {
            Some((name, nth)) => (name, nth.parse().unwrap_or(1)),
            None => (text, 1),
        };
        Armed { name: name.to_owned(), passes_left: AtomicU64::new(nth) }
    }
}

#[cfg(test)]
#[path = "crash_tests.rs"]
mod tests;
