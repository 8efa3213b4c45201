//! Who may use the store. What the documents say is the business of the layers above.

use serde::{Deserialize, Serialize};

/// The document of one account, user, group, role or policy. The store does not look into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityDocument {
    /// What it is called; it begins with its kind.
    pub name: String,
    /// The document; `None` removes it.
    pub document: Option<Vec<u8>>,
}

/// A change of some identities, made whole or not at all.
///
/// It is made only if nothing was changed since the state of identities that it was decided from, so that whatever
/// spans several documents (a name that is taken, a policy that is in use) stays true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityChange {
    /// The count of changes that it was decided from.
    pub expected: u64,
    /// What is stored and removed.
    pub documents: Vec<IdentityDocument>,
}
