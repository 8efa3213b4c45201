//! Roles.

use std::sync::Arc;

use granary_auth::policy::PolicyKind;

use super::call::Call;
use super::common::{
    boundary, check_unused, description, exists, new_head, no_boundary, path_prefix, write_extras,
};
use super::grants::encoded;
use super::limits;
use super::paging::Page;
use super::tagging;
use super::xml::Xml;
use crate::documents::{Document, Grants, Kind, RoleDocument};
use crate::error::{IamError, Result};
use crate::state::{Changes, State};

/// The shortest and the longest session that a role may allow, in seconds.
const SESSION_MIN_S: u32 = 3_600;
const SESSION_MAX_S: u32 = 43_200;

/// What lists show; the rest is for who asks for one role.
fn write(xml: &mut Xml, call: &Call<'_>, role: &RoleDocument) {
    let head = &role.head;
    xml.text("Path", &head.path)
        .text("RoleName", &head.name)
        .text("RoleId", &head.id)
        .text("Arn", head.arn(Kind::Role))
        .time("CreateDate", head.created_ms)
        .text("AssumeRolePolicyDocument", encoded(&call.read(|state| state.shown_trust(&role.trust))))
        .optional("Description", role.description.as_deref())
        .text("MaxSessionDuration", role.max_session_s.to_string());
}

fn write_whole(xml: &mut Xml, call: &Call<'_>, role: &RoleDocument) {
    write(xml, call, role);
    write_extras(xml, role.boundary.as_ref(), &role.tags);
}

/// The change that stores a role.
pub(super) fn put(role: RoleDocument) -> Changes {
    let name = Kind::Role.document_name(&role.head.account, &role.head.name);
    vec![(name, Some(Document::Role(Arc::new(role))))]
}

fn max_session(call: &Call<'_>) -> Result<Option<u32>> {
    call.form.number("MaxSessionDuration", SESSION_MIN_S, SESSION_MAX_S)
}

/// The name of the role, if the caller may do this to it.
fn named<'c>(call: &Call<'c>) -> Result<&'c str> {
    let name = call.form.required("RoleName")?;
    call.authorise(&call.arn(Kind::Role, name))?;
    Ok(name)
}

pub(super) async fn create(call: &Call<'_>) -> Result<Xml> {
    let head = new_head(call, Kind::Role, "RoleName")?;
    let name = head.name.clone();
    let trust = call.form.required("AssumeRolePolicyDocument")?;
    limits::check_policy(trust, PolicyKind::Trust, limits::TRUST_POLICY_CHARS)?;
    let role = RoleDocument {
        head,
        trust: trust.to_owned(),
        description: description(call)?,
        max_session_s: max_session(call)?.unwrap_or(SESSION_MIN_S),
        grants: Grants::default(),
        boundary: boundary(call)?,
        tags: call.form.tags()?,
    };
    let role = call
        .store
        .change(|state| {
            if state.role(call.account_id(), &name).is_ok() {
                return Err(exists(Kind::Role, &name));
            }
            if state.roles(call.account_id()).count() >= limits::ROLES {
                return Err(IamError::limit("RolesPerAccount", limits::ROLES));
            }
            let role = RoleDocument { trust: state.kept_trust(&role.trust)?, ..role.clone() };
            Ok((put(role.clone()), role))
        })
        .await?;
    let mut xml = Xml::new();
    xml.element("Role", |xml| write_whole(xml, call, &role));
    Ok(xml)
}

pub(super) fn get(call: &Call<'_>) -> Result<Xml> {
    let name = named(call)?;
    let role = call.read(|state| state.role(call.account_id(), name).cloned())?;
    let mut xml = Xml::new();
    xml.element("Role", |xml| write_whole(xml, call, &role));
    Ok(xml)
}

pub(super) fn list(call: &Call<'_>) -> Result<Xml> {
    let prefix = path_prefix(call);
    call.authorise(&format!("arn:aws:iam::{}:role{prefix}", call.account_id()))?;
    let page = call.read(|state| {
        let roles = state.roles(call.account_id()).filter(|role| role.head.path.starts_with(prefix));
        Page::of(call.form, roles.cloned(), |role| role.head.name.to_ascii_lowercase())
    })?;
    let mut xml = Xml::new();
    xml.list("Roles", &page.items, |xml, role| write(xml, call, role));
    page.end(&mut xml);
    Ok(xml)
}

/// Changes a role that is there and returns it.
async fn change(
    call: &Call<'_>,
    name: &str,
    change: impl Fn(&State, &mut RoleDocument) -> Result<()>,
) -> Result<RoleDocument> {
    call.store
        .change(|state| {
            let mut role = (**state.role(call.account_id(), name)?).clone();
            change(state, &mut role)?;
            Ok((put(role.clone()), role))
        })
        .await
}

/// UpdateRole, and UpdateRoleDescription, which shows the role.
pub(super) async fn update(call: &Call<'_>) -> Result<Xml> {
    let name = named(call)?;
    let (description, max_session_s) = (description(call)?, max_session(call)?);
    let role = change(call, name, |_, role| {
        if call.form.get_any("Description").is_some() {
            role.description.clone_from(&description);
        }
        role.max_session_s = max_session_s.unwrap_or(role.max_session_s);
        Ok(())
    })
    .await?;
    let mut xml = Xml::new();
    if call.action == "iam:UpdateRoleDescription" {
        xml.element("Role", |xml| write_whole(xml, call, &role));
    }
    Ok(xml)
}

pub(super) async fn update_trust(call: &Call<'_>) -> Result<Xml> {
    let name = named(call)?;
    let trust = call.form.required("PolicyDocument")?;
    limits::check_policy(trust, PolicyKind::Trust, limits::TRUST_POLICY_CHARS)?;
    change(call, name, |state, role| {
        role.trust = state.kept_trust(trust)?;
        Ok(())
    })
    .await?;
    Ok(Xml::new())
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Xml> {
    let name = named(call)?;
    call.store
        .change(|state| {
            let role = state.role(call.account_id(), name)?;
            check_unused(&[
                (role.grants.inline.is_empty(), "delete policies"),
                (role.grants.attached.is_empty(), "detach all policies"),
            ])?;
            Ok((vec![(Kind::Role.document_name(call.account_id(), name), None)], ()))
        })
        .await?;
    Ok(Xml::new())
}

pub(super) async fn put_boundary(call: &Call<'_>) -> Result<Xml> {
    let name = named(call)?;
    call.form.required("PermissionsBoundary")?;
    let boundary = boundary(call)?;
    change(call, name, |_, role| {
        role.boundary.clone_from(&boundary);
        Ok(())
    })
    .await?;
    Ok(Xml::new())
}

pub(super) async fn delete_boundary(call: &Call<'_>) -> Result<Xml> {
    let name = named(call)?;
    change(call, name, |_, role| role.boundary.take().map(drop).ok_or_else(|| no_boundary(name))).await?;
    Ok(Xml::new())
}

pub(super) async fn tag(call: &Call<'_>) -> Result<Xml> {
    let name = named(call)?;
    let tags = tagging::change(call)?;
    change(call, name, |_, role| tags.apply(&mut role.tags)).await?;
    Ok(Xml::new())
}

pub(super) fn tags(call: &Call<'_>) -> Result<Xml> {
    let name = named(call)?;
    let role = call.read(|state| state.role(call.account_id(), name).cloned())?;
    tagging::list(call, &role.tags)
}
