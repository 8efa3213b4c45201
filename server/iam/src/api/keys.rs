//! Access keys.

use std::sync::Arc;

use super::call::Call;
use super::limits::KEYS_PER_USER;
use super::paging::Page;
use super::users;
use super::xml::Xml;
use crate::documents::{Document, KeyDocument, KeyStatus, Kind, UseDocument, account_document};
use crate::error::{IamError, Result};
use crate::state::{Changes, State};

/// Whose keys are meant: a user of that name, or the root user of the caller's account.
fn whose(call: &Call<'_>) -> Result<Option<String>> {
    let name = users::named(call)?;
    match &name {
        Some(name) => call.authorise(&call.arn(Kind::User, name))?,
        None => call.authorise(&call.caller_arn())?,
    }
    Ok(name)
}

/// What the root user of the store cannot do with its own key.
fn of_the_store() -> IamError {
    IamError::invalid("The keys of the root user of the store are those that the server was started with.")
}

fn keys_of(state: &State, account: &str, user: Option<&str>) -> Result<Vec<KeyDocument>> {
    match user {
        Some(name) => Ok(state.user(account, name)?.keys.clone()),
        None => Ok(state.account_document(account).ok_or_else(of_the_store)?.keys.clone()),
    }
}

/// The change that gives a user these keys.
fn put_keys(state: &State, account: &str, user: Option<&str>, keys: Vec<KeyDocument>) -> Result<Changes> {
    match user {
        Some(name) => {
            let mut user = (**state.user(account, name)?).clone();
            user.keys = keys;
            Ok(users::put(user))
        }
        None => {
            let mut document = (**state.account_document(account).ok_or_else(of_the_store)?).clone();
            document.keys = keys;
            Ok(vec![(account_document(account), Some(Document::Account(Arc::new(document))))])
        }
    }
}

fn shown(call: &Call<'_>, user: Option<&str>) -> String {
    let root =
        || call.read(|state| state.account_document(call.account_id()).map(|account| account.name.clone()));
    // The name as it was given when the user was made.
    let named = |name: &str| {
        call.read(|state| state.user(call.account_id(), name).map(|user| user.head.name.clone()))
    };
    match user {
        Some(name) => named(name).unwrap_or_else(|_| name.to_owned()),
        None => root().unwrap_or_else(|| "root".to_owned()),
    }
}

fn write(xml: &mut Xml, user: &str, key: &KeyDocument) {
    xml.text("UserName", user)
        .text("AccessKeyId", &key.id)
        .text("Status", key.status.as_str())
        .time("CreateDate", key.created_ms);
}

pub(super) async fn create(call: &Call<'_>) -> Result<Xml> {
    let user = whose(call)?;
    call.read(|state| keys_of(state, call.account_id(), user.as_deref()))?;
    let (key, document) = call.store.new_key(None).await?;
    call.store
        .change(|state| {
            call.store.check_free(state, &document.id)?;
            let mut keys = keys_of(state, call.account_id(), user.as_deref())?;
            if keys.len() >= KEYS_PER_USER {
                return Err(IamError::limit("AccessKeysPerUser", KEYS_PER_USER));
            }
            keys.push(document.clone());
            Ok((put_keys(state, call.account_id(), user.as_deref(), keys)?, ()))
        })
        .await?;
    let mut xml = Xml::new();
    xml.element("AccessKey", |xml| {
        write(xml, &shown(call, user.as_deref()), &document);
        xml.text("SecretAccessKey", &*key.secret);
    });
    Ok(xml)
}

pub(super) async fn update(call: &Call<'_>) -> Result<Xml> {
    let id = call.form.required("AccessKeyId")?;
    let status = match call.form.required("Status")? {
        "Active" => KeyStatus::Active,
        "Inactive" => KeyStatus::Inactive,
        _ => return Err(IamError::invalid("The value of Status must be Active or Inactive.")),
    };
    change(call, id, |keys| {
        for key in keys.iter_mut().filter(|key| key.id == id) {
            key.status = status;
        }
    })
    .await
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Xml> {
    let id = call.form.required("AccessKeyId")?;
    change(call, id, |keys| keys.retain(|key| key.id != id)).await
}

/// Changes the keys of the user, one of which must have that id.
async fn change(call: &Call<'_>, id: &str, change: impl Fn(&mut Vec<KeyDocument>)) -> Result<Xml> {
    let user = whose(call)?;
    call.store
        .change(|state| {
            let mut keys = keys_of(state, call.account_id(), user.as_deref())?;
            if !keys.iter().any(|key| key.id == id) {
                return Err(IamError::no_such("Access Key", id));
            }
            change(&mut keys);
            Ok((put_keys(state, call.account_id(), user.as_deref(), keys)?, ()))
        })
        .await?;
    Ok(Xml::new())
}

pub(super) fn list(call: &Call<'_>) -> Result<Xml> {
    let user = whose(call)?;
    let mut keys = call.read(|state| keys_of(state, call.account_id(), user.as_deref()))?;
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    let page = Page::of(call.form, keys, |key| key.id.clone())?;
    let name = shown(call, user.as_deref());
    let mut xml = Xml::new();
    xml.list("AccessKeyMetadata", &page.items, |xml, key| write(xml, &name, key));
    page.end(&mut xml);
    Ok(xml)
}

/// The last use that this node knows of: its own, and those of others that were kept.
pub(super) fn last_used(call: &Call<'_>) -> Result<Xml> {
    let id = call.form.required("AccessKeyId")?;
    let user = call.read(|state| match state.owner_of_key(id) {
        Some(Document::User(user)) if user.head.account == call.account_id() => Ok(user.head.name.clone()),
        Some(Document::Account(account)) if account.id == call.account_id() => Ok(account.name.clone()),
        _ => Err(IamError::no_such("Access Key", id)),
    });
    let name = user.as_deref().unwrap_or_default();
    call.authorise(&call.arn(Kind::User, name))?;
    let used = call.read(|state| call.store.usage().last(state, id));
    let mut xml = Xml::new();
    xml.text("UserName", user?).element("AccessKeyLastUsed", |xml| {
        if let Some(used) = &used {
            xml.time("LastUsedDate", used.used_ms);
        }
        let shown = |text: fn(&UseDocument) -> &str| {
            used.as_deref().map(text).filter(|text| !text.is_empty()).unwrap_or("N/A")
        };
        xml.text("ServiceName", shown(|used| &used.service)).text("Region", shown(|used| &used.region));
    });
    Ok(xml)
}
