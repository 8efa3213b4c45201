//! The admin API's requests about users and keys, answered from the identities.

use granary_admin::{
    AdminError, IdentityReport, IdentityRequest, KeyAction, KeyPair, KeyReport, NamedUser, UserReport,
    UserToAdd,
};
use granary_iam::{
    AccountDetails, Code, IamError, IdentityStore, KeyStatus, NewKey, NewUser, UserName, UserView,
};

/// Does what is asked for.
pub(super) async fn answer(
    store: &IdentityStore,
    request: IdentityRequest,
) -> Result<IdentityReport, AdminError> {
    run(store, request).await.map_err(refused)
}

async fn run(store: &IdentityStore, request: IdentityRequest) -> Result<IdentityReport, IamError> {
    let none = IdentityReport::default();
    match request {
        // Answered by `super::quotas`, which knows what is stored.
        IdentityRequest::ShowQuota { .. } | IdentityRequest::SetQuota { .. } => {
            Err(IamError::invalid("Quotas are answered where usage is known."))
        }
        IdentityRequest::AddUser(user) => {
            let (view, key) = store.add_user(&new_user(user)).await?;
            Ok(IdentityReport { users: vec![report(&view)], key: Some(pair(&key)), ..none })
        }
        IdentityRequest::RemoveUser { user } => store.remove_user(&name(user)).await.map(|()| none),
        IdentityRequest::ListUsers { account } => {
            let users = store.list_users(account.as_deref())?;
            Ok(IdentityReport { users: users.iter().map(report).collect(), ..none })
        }
        IdentityRequest::ShowUser { user } => {
            Ok(IdentityReport { users: vec![report(&store.find_user(&name(user))?)], ..none })
        }
        IdentityRequest::AddKey { user, key } => {
            let key = store.add_key(&name(user), key.map(new_key).as_ref()).await?;
            Ok(IdentityReport { key: Some(pair(&key)), ..none })
        }
        IdentityRequest::ChangeKey { access_key, action } => {
            let status = match action {
                KeyAction::Enable => Some(KeyStatus::Active),
                KeyAction::Disable => Some(KeyStatus::Inactive),
                KeyAction::Remove => None,
            };
            store.set_key(&access_key, status).await.map(|()| none)
        }
        IdentityRequest::SetPolicy { user, name: policy, document } => {
            store.set_policy(&name(user), &policy, document.as_deref()).await.map(|()| none)
        }
        IdentityRequest::AttachPolicy { user, arn } => {
            store.attach_policy(&name(user), &arn, true).await.map(|()| none)
        }
        IdentityRequest::DetachPolicy { user, arn } => {
            store.attach_policy(&name(user), &arn, false).await.map(|()| none)
        }
        IdentityRequest::LimitUser { user, requests_per_s } => {
            store.set_rate(&name(user), requests_per_s).await.map(|()| none)
        }
    }
}

pub(super) fn refused(error: IamError) -> AdminError {
    match error.code() {
        Code::NoSuchEntity => AdminError::NotFound(error.to_string()),
        Code::ServiceFailure | Code::ServiceUnavailable => {
            tracing::error!(
                error = format!("{:#}", anyhow::Error::from(error)),
                "a change of identities failed"
            );
            AdminError::Unavailable("the identities cannot be read or changed now".to_owned())
        }
        _ => AdminError::Invalid(error.to_string()),
    }
}

pub(super) fn name(user: NamedUser) -> UserName {
    UserName { account: user.account, name: user.name }
}

fn new_user(user: UserToAdd) -> NewUser {
    let UserToAdd { name, account, key, account_id, canonical_id, display_name, email } = user;
    let details = AccountDetails { id: account_id, canonical_id, display_name, email };
    NewUser { name, account, key: key.map(new_key), details }
}

fn new_key(key: KeyPair) -> NewKey {
    NewKey { access_key: key.access_key, secret: key.secret_key.into() }
}

fn pair(key: &NewKey) -> KeyPair {
    KeyPair { access_key: key.access_key.clone(), secret_key: key.secret.to_string() }
}

fn report(view: &UserView) -> UserReport {
    let key = |(access_key, status): &(String, KeyStatus)| KeyReport {
        access_key: access_key.clone(),
        active: *status == KeyStatus::Active,
    };
    UserReport {
        name: view.name.clone(),
        arn: view.arn.clone(),
        account_id: view.account.id.clone(),
        canonical_id: view.account.canonical_id.clone(),
        display_name: view.account.display_name.clone(),
        email: view.account.email.clone(),
        keys: view.keys.iter().map(key).collect(),
        policies: view.policies.clone(),
        requests_per_s: view.requests_per_s,
    }
}
