//! Quotas of accounts: the identities know them, the engine keeps to them and knows what is there.

use granary_admin::{AdminError, IdentityReport, IdentityRequest, NamedUser, QuotaReport};
use granary_engine::{Engine, OwnerDirectory, OwnerLimits};
use granary_iam::{AccountQuota, IdentityStore};
use granary_s3::account_of_owner;

use super::identities::{name, refused};

/// The accounts, as the engine asks for them.
pub(super) struct Owners(pub(super) IdentityStore);

impl OwnerDirectory for Owners {
    fn account_of(&self, owner: &str) -> Option<String> {
        account_of_owner(owner).map(str::to_owned)
    }

    fn limits_of(&self, owner: &str) -> Option<(String, OwnerLimits)> {
        let account = account_of_owner(owner)?;
        let AccountQuota { bytes_max, objects_max } = self.0.quota_of(account)?;
        Some((account.to_owned(), OwnerLimits { bytes_max, objects_max }))
    }
}

/// Does what is asked for of the quota of an account.
pub(super) async fn answer(
    engine: &Engine,
    store: &IdentityStore,
    request: IdentityRequest,
) -> Result<IdentityReport, AdminError> {
    match request {
        IdentityRequest::SetQuota { user, bytes_max, objects_max } => {
            let quota = AccountQuota { bytes_max, objects_max };
            store.set_quota(&name(user.clone()), quota).await.map_err(refused)?;
            show(engine, store, user).await
        }
        IdentityRequest::ShowQuota { user } => show(engine, store, user).await,
        _ => Err(AdminError::Invalid("the request is not about a quota".to_owned())),
    }
}

async fn show(engine: &Engine, store: &IdentityStore, user: NamedUser) -> Result<IdentityReport, AdminError> {
    let (account, quota) = store.find_quota(&name(user)).map_err(refused)?;
    let usage = engine.usage_of_account(&account).await.map_err(|error| {
        let error = format!("{:#}", anyhow::Error::from(error));
        tracing::error!(error, "what an account holds could not be read");
        AdminError::Unavailable("what the account holds cannot be read now".to_owned())
    })?;
    let quota = QuotaReport {
        account,
        bytes: usage.bytes,
        objects: usage.objects,
        bytes_max: quota.bytes_max,
        objects_max: quota.objects_max,
    };
    Ok(IdentityReport { quota: Some(quota), ..IdentityReport::default() })
}
