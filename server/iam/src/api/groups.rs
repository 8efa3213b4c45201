//! Groups and their members.

use std::sync::Arc;

use super::call::Call;
use super::common::{Renaming, check_unused, exists, new_head, path_prefix};
use super::limits;
use super::paging::Page;
use super::users;
use super::xml::Xml;
use crate::documents::{Document, Grants, GroupDocument, Kind};
use crate::error::{IamError, Result};
use crate::state::Changes;

fn write(xml: &mut Xml, group: &GroupDocument) {
    let head = &group.head;
    xml.text("Path", &head.path)
        .text("GroupName", &head.name)
        .text("GroupId", &head.id)
        .text("Arn", head.arn(Kind::Group))
        .time("CreateDate", head.created_ms);
}

/// The change that stores a group.
pub(super) fn put(group: GroupDocument) -> Changes {
    let name = Kind::Group.document_name(&group.head.account, &group.head.name);
    vec![(name, Some(Document::Group(Arc::new(group))))]
}

pub(super) async fn create(call: &Call<'_>) -> Result<Xml> {
    let head = new_head(call, Kind::Group, "GroupName")?;
    let name = head.name.clone();
    let group = GroupDocument { head, grants: Grants::default() };
    call.store
        .change(|state| {
            if state.group(call.account_id(), &name).is_ok() {
                return Err(exists(Kind::Group, &name));
            }
            if state.groups(call.account_id()).count() >= limits::GROUPS {
                return Err(IamError::limit("GroupsPerAccount", limits::GROUPS));
            }
            Ok((put(group.clone()), ()))
        })
        .await?;
    let mut xml = Xml::new();
    xml.element("Group", |xml| write(xml, &group));
    Ok(xml)
}

pub(super) fn get(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("GroupName")?;
    call.authorise(&call.arn(Kind::Group, name))?;
    let (group, page) = call.read(|state| {
        let group = Arc::clone(state.group(call.account_id(), name)?);
        let members = state.users(call.account_id()).filter(|user| user.groups.contains(&group.head.id));
        let page = Page::of(call.form, members.cloned(), |user| user.head.name.to_ascii_lowercase())?;
        Ok::<_, IamError>((group, page))
    })?;
    let mut xml = Xml::new();
    xml.element("Group", |xml| write(xml, &group));
    xml.list("Users", &page.items, |xml, user| users::write(xml, user));
    page.end(&mut xml);
    Ok(xml)
}

pub(super) async fn update(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("GroupName")?;
    call.authorise(&call.arn(Kind::Group, name))?;
    let head = call.read(|state| state.group(call.account_id(), name).map(|group| group.head.clone()))?;
    let renaming = Renaming::read(call, Kind::Group, "NewGroupName", &head)?;
    call.store
        .change(|state| {
            let mut group = (**state.group(call.account_id(), name)?).clone();
            let is_taken = |name: &str| state.group(call.account_id(), name).is_ok();
            renaming.apply(Kind::Group, &mut group.head, is_taken)?;
            let mut changes: Changes = vec![(Kind::Group.document_name(call.account_id(), name), None)];
            changes.extend(put(group));
            Ok((changes, ()))
        })
        .await?;
    Ok(Xml::new())
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("GroupName")?;
    call.authorise(&call.arn(Kind::Group, name))?;
    call.store
        .change(|state| {
            let group = state.group(call.account_id(), name)?;
            let is_empty = !state.users(call.account_id()).any(|user| user.groups.contains(&group.head.id));
            check_unused(&[
                (is_empty, "remove users from group"),
                (group.grants.inline.is_empty(), "delete policies"),
                (group.grants.attached.is_empty(), "detach all policies"),
            ])?;
            Ok((vec![(Kind::Group.document_name(call.account_id(), name), None)], ()))
        })
        .await?;
    Ok(Xml::new())
}

pub(super) fn list(call: &Call<'_>) -> Result<Xml> {
    let prefix = path_prefix(call);
    call.authorise(&format!("arn:aws:iam::{}:group{prefix}", call.account_id()))?;
    let page = call.read(|state| {
        let groups = state.groups(call.account_id()).filter(|group| group.head.path.starts_with(prefix));
        Page::of(call.form, groups.cloned(), |group| group.head.name.to_ascii_lowercase())
    })?;
    Ok(answer(&page))
}

fn answer(page: &Page<Arc<GroupDocument>>) -> Xml {
    let mut xml = Xml::new();
    xml.list("Groups", &page.items, |xml, group| write(xml, group));
    page.end(&mut xml);
    xml
}

pub(super) fn of_user(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("UserName")?;
    call.authorise(&call.arn(Kind::User, name))?;
    let page = call.read(|state| {
        let user = state.user(call.account_id(), name)?;
        let groups = state.groups(call.account_id()).filter(|group| user.groups.contains(&group.head.id));
        Page::of(call.form, groups.cloned(), |group| group.head.name.to_ascii_lowercase())
    })?;
    Ok(answer(&page))
}

pub(super) async fn add_user(call: &Call<'_>) -> Result<Xml> {
    change_members(call, |groups, id| {
        if groups.contains(&id) {
            return Ok(());
        }
        if groups.len() >= limits::GROUPS_PER_USER {
            return Err(IamError::limit("GroupsPerUser", limits::GROUPS_PER_USER));
        }
        groups.push(id);
        Ok(())
    })
    .await
}

pub(super) async fn remove_user(call: &Call<'_>) -> Result<Xml> {
    change_members(call, |groups, id| {
        groups.retain(|one| *one != id);
        Ok(())
    })
    .await
}

async fn change_members(
    call: &Call<'_>,
    change: impl Fn(&mut Vec<String>, String) -> Result<()>,
) -> Result<Xml> {
    let (group, user) = (call.form.required("GroupName")?, call.form.required("UserName")?);
    call.authorise(&call.arn(Kind::Group, group))?;
    call.store
        .change(|state| {
            let id = state.group(call.account_id(), group)?.head.id.clone();
            let mut user = (**state.user(call.account_id(), user)?).clone();
            change(&mut user.groups, id)?;
            Ok((users::put(user), ()))
        })
        .await?;
    Ok(Xml::new())
}
