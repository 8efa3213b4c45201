//! What fuzz targets call beside what is public.

#![allow(clippy::panic)] // What a fuzz target finds, it tells by a panic.
#![cfg_attr(test, allow(unreachable_pub, reason = "only fuzz targets reach it from outside"))]

use crate::access::acl::Acl;
use crate::dialect::Dialect;
use crate::{lifecycle, locks, ops};

pub use crate::encryption::configuration::check_encryption;
pub use crate::notifications::check_notifications;
pub use crate::ops::check_configurations;

/// Takes any bytes for a document of lifecycle rules, an access control list, and the documents of locks and of
/// versioning. What is kept of one must be taken, as it is, again.
///
/// # Panics
/// When it is not.
pub fn check_documents(text: &[u8]) {
    let mut made = 0;
    let new_id = || {
        made += 1;
        format!("made-{made}")
    };
    // Characters that XML cannot carry are written all the same, as S3 does, and are not read again.
    if let Ok(rules) = lifecycle::parse_rules(text, Dialect::Ceph, new_id)
        && let Ok(again) = lifecycle::parse_rules(&lifecycle::document(&rules), Dialect::Aws, String::new)
    {
        assert_eq!(again, rules);
    }
    if let Ok(acl) = Acl::parse_stored(text)
        && let Ok(again) = Acl::parse_stored(acl.document().as_bytes())
    {
        assert_eq!(again, acl);
    }
    if let Ok(lock) = locks::parse_configuration(text) {
        let again = locks::parse_configuration(&locks::configuration_document(lock));
        assert_eq!(again.ok(), Some(lock));
    }
    if let Ok(Some(retention)) = locks::parse_retention(text) {
        let again = locks::parse_retention(&locks::retention_document(retention));
        assert_eq!(again.ok().flatten(), Some(retention));
    }
    let _ = locks::parse_legal_hold(text);
    ops::check_versioning(text);
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
