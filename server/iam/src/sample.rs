//! What several tests begin with.

use std::sync::Arc;

use granary_auth::Account;

/// The account of the store, called `a`.
pub(crate) fn own_account(id: &str) -> Arc<Account> {
    Arc::new(Account {
        id: id.to_owned(),
        canonical_id: "a".repeat(64),
        display_name: "a".to_owned(),
        email: None,
    })
}
