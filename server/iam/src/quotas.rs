//! What accounts may hold in all their buckets. The engine keeps to it; here it is known.

use crate::documents::AccountQuota;
use crate::error::{Code, IamError, Result};
use crate::manage::{Owner, UserName};
use crate::store::IdentityStore;

impl IdentityStore {
    /// The quota of the account of that id, if it has one.
    #[must_use]
    pub fn quota_of(&self, account: &str) -> Option<AccountQuota> {
        let quota = self.read(|state| state.account_document(account).map(|account| account.quota))?;
        (quota != AccountQuota::default()).then_some(quota)
    }

    /// The id and the quota of the account whose root user is meant.
    ///
    /// # Errors
    /// `NoSuchEntity`; `InvalidInput` for a user who is not a root user.
    pub fn find_quota(&self, user: &UserName) -> Result<(String, AccountQuota)> {
        self.read(|state| match Owner::find(state, user)? {
            Owner::Account(account) => Ok((account.id, account.quota)),
            Owner::User(_) => Err(not_an_account()),
        })
    }

    /// Sets what all buckets of an account may hold.
    ///
    /// # Errors
    /// `NoSuchEntity`; `InvalidInput` for a user who is not a root user.
    pub async fn set_quota(&self, user: &UserName, quota: AccountQuota) -> Result<()> {
        self.change(|state| {
            let mut owner = Owner::find(state, user)?;
            match &mut owner {
                Owner::Account(account) => account.quota = quota,
                Owner::User(_) => return Err(not_an_account()),
            }
            Ok((owner.changes(), ()))
        })
        .await
    }
}

fn not_an_account() -> IamError {
    let message =
        "Buckets belong to accounts: quotas are those of root users, for all buckets of their accounts.";
    IamError::new(Code::InvalidInput, message)
}
