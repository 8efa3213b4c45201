//! Releases that do not exist yet, for tests of rolling upgrades.
//!
//! Builds with debug assertions behave as one of the next two releases when the environment says so: they know a schema
//! more, or two, and name themselves otherwise. Release builds have none of it.

/// The environment variable: `next` or `after-next`.
pub const REHEARSED_RELEASE_VARIABLE: &str = "GRANARY_REHEARSED_RELEASE";

/// Which release a process behaves as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// The one that was built.
    This,
    /// The next, which expands the schema.
    Next,
    /// The one after it, which contracts the schema and serves this one no more.
    AfterNext,
}

/// The release that this process behaves as.
#[must_use]
pub fn rehearsed_release() -> Release {
    #[cfg(debug_assertions)]
    return rehearsed::release();
    #[cfg(not(debug_assertions))]
    Release::This
}

#[cfg(debug_assertions)]
mod rehearsed {
    use std::sync::OnceLock;

    use super::{REHEARSED_RELEASE_VARIABLE, Release};

    static RELEASE: OnceLock<Release> = OnceLock::new();

    pub(super) fn release() -> Release {
        *RELEASE.get_or_init(|| match std::env::var(REHEARSED_RELEASE_VARIABLE).as_deref() {
            Ok("next") => Release::Next,
            Ok("after-next") => Release::AfterNext,
            _ => Release::This,
        })
    }
}
