//! Users.

use std::sync::Arc;

use granary_auth::IdentityKind;

use super::call::Call;
use super::common::{
    Renaming, boundary, check_unused, exists, new_head, no_boundary, path_prefix, write_extras,
};
use super::limits;
use super::paging::Page;
use super::tagging;
use super::xml::Xml;
use crate::documents::{Document, Grants, Kind, UserDocument};
use crate::error::{IamError, Result};
use crate::state::Changes;

/// Writes what is to be seen of a user.
pub(super) fn write(xml: &mut Xml, user: &UserDocument) {
    let head = &user.head;
    xml.text("Path", &head.path)
        .text("UserName", &head.name)
        .text("UserId", &head.id)
        .text("Arn", head.arn(Kind::User))
        .time("CreateDate", head.created_ms);
}

fn write_whole(xml: &mut Xml, user: &UserDocument) {
    write(xml, user);
    write_extras(xml, user.boundary.as_ref(), &user.tags);
}

/// The change that stores a user.
pub(super) fn put(user: UserDocument) -> Changes {
    let name = Kind::User.document_name(&user.head.account, &user.head.name);
    vec![(name, Some(Document::User(Arc::new(user))))]
}

pub(super) async fn create(call: &Call<'_>) -> Result<Xml> {
    let head = new_head(call, Kind::User, "UserName")?;
    let name = head.name.clone();
    let user = UserDocument {
        head,
        keys: Vec::new(),
        grants: Grants::default(),
        groups: Vec::new(),
        boundary: boundary(call)?,
        tags: call.form.tags()?,
        requests_per_s: None,
    };
    call.store
        .change(|state| {
            if state.user(call.account_id(), &name).is_ok() {
                return Err(exists(Kind::User, &name));
            }
            if state.users(call.account_id()).count() >= limits::USERS {
                return Err(IamError::limit("UsersPerAccount", limits::USERS));
            }
            Ok((put(user.clone()), ()))
        })
        .await?;
    let mut xml = Xml::new();
    xml.element("User", |xml| write_whole(xml, &user));
    Ok(xml)
}

pub(super) fn get(call: &Call<'_>) -> Result<Xml> {
    let mut xml = Xml::new();
    let Some(name) = named(call)? else {
        call.authorise(&call.caller_arn())?;
        xml.element("User", |xml| write_root(xml, call));
        return Ok(xml);
    };
    call.authorise(&call.arn(Kind::User, &name))?;
    let user = call.read(|state| state.user(call.account_id(), &name).cloned())?;
    xml.element("User", |xml| write_whole(xml, &user));
    Ok(xml)
}

/// The root user of the caller's account.
fn write_root(xml: &mut Xml, call: &Call<'_>) {
    let document = call.read(|state| state.account_document(call.account_id()).cloned());
    xml.text("Path", "/")
        .text("UserName", document.as_ref().map_or("root", |account| &account.name))
        .text("UserId", call.account_id())
        .text("Arn", format!("arn:aws:iam::{}:root", call.account_id()))
        .time("CreateDate", document.map_or(0, |account| account.created_ms));
}

/// The name of the user that is meant: the one that is given, or the caller's own. `None` for a root user.
pub(super) fn named(call: &Call<'_>) -> Result<Option<String>> {
    if let Some(name) = call.form.get("UserName") {
        return Ok(Some(name.to_owned()));
    }
    match call.identity() {
        None => Ok(None),
        Some(identity) => match identity.kind {
            IdentityKind::AccountRoot => Ok(None),
            IdentityKind::User => Ok(Some(identity.name.clone())),
            IdentityKind::AssumedRole => {
                Err(IamError::invalid("Must specify userName when calling with non-User credentials"))
            }
        },
    }
}

pub(super) async fn update(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("UserName")?;
    call.authorise(&call.arn(Kind::User, name))?;
    let head = call.read(|state| state.user(call.account_id(), name).map(|user| user.head.clone()))?;
    let renaming = Renaming::read(call, Kind::User, "NewUserName", &head)?;
    call.store
        .change(|state| {
            let mut user = (**state.user(call.account_id(), name)?).clone();
            let is_taken = |name: &str| state.user(call.account_id(), name).is_ok();
            renaming.apply(Kind::User, &mut user.head, is_taken)?;
            let mut changes: Changes = vec![(Kind::User.document_name(call.account_id(), name), None)];
            changes.extend(put(user));
            Ok((changes, ()))
        })
        .await?;
    Ok(Xml::new())
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("UserName")?;
    call.authorise(&call.arn(Kind::User, name))?;
    call.store
        .change(|state| {
            let user = state.user(call.account_id(), name)?;
            check_unused(&[
                (user.keys.is_empty(), "delete access keys"),
                (user.grants.inline.is_empty(), "delete policies"),
                (user.grants.attached.is_empty(), "detach all policies"),
                (user.groups.is_empty(), "remove users from group"),
            ])?;
            Ok((vec![(Kind::User.document_name(call.account_id(), name), None)], ()))
        })
        .await?;
    Ok(Xml::new())
}

pub(super) fn list(call: &Call<'_>) -> Result<Xml> {
    let prefix = path_prefix(call);
    call.authorise(&format!("arn:aws:iam::{}:user{prefix}", call.account_id()))?;
    let page = call.read(|state| {
        let users = state.users(call.account_id()).filter(|user| user.head.path.starts_with(prefix));
        Page::of(call.form, users.cloned(), |user| user.head.name.to_ascii_lowercase())
    })?;
    let mut xml = Xml::new();
    xml.list("Users", &page.items, |xml, user| write(xml, user));
    page.end(&mut xml);
    Ok(xml)
}

/// Changes a user that is there.
pub(super) async fn change(
    call: &Call<'_>,
    name: &str,
    change: impl Fn(&mut UserDocument) -> Result<()>,
) -> Result<()> {
    call.store
        .change(|state| {
            let mut user = (**state.user(call.account_id(), name)?).clone();
            change(&mut user)?;
            Ok((put(user), ()))
        })
        .await
}

pub(super) async fn put_boundary(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("UserName")?;
    call.form.required("PermissionsBoundary")?;
    call.authorise(&call.arn(Kind::User, name))?;
    let boundary = boundary(call)?;
    change(call, name, |user| {
        user.boundary.clone_from(&boundary);
        Ok(())
    })
    .await?;
    Ok(Xml::new())
}

pub(super) async fn delete_boundary(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("UserName")?;
    call.authorise(&call.arn(Kind::User, name))?;
    change(call, name, |user| user.boundary.take().map(drop).ok_or_else(|| no_boundary(name))).await?;
    Ok(Xml::new())
}

pub(super) async fn tag(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("UserName")?;
    call.authorise(&call.arn(Kind::User, name))?;
    let change_of = tagging::change(call)?;
    change(call, name, |user| change_of.apply(&mut user.tags)).await?;
    Ok(Xml::new())
}

pub(super) fn tags(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("UserName")?;
    call.authorise(&call.arn(Kind::User, name))?;
    let user = call.read(|state| state.user(call.account_id(), name).cloned())?;
    tagging::list(call, &user.tags)
}
