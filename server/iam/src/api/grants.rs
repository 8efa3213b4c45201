//! Inline and attached policies of users, groups and roles, which differ in nothing but the words.

use granary_auth::policy::PolicyKind;

use super::call::Call;
use super::limits;
use super::paging::Page;
use super::xml::Xml;
use super::{groups, roles, users};
use crate::documents::{Grants, Kind};
use crate::error::{Code, IamError, Result};
use crate::names;
use crate::state::{Changes, State};

/// The parameter that names the holder.
fn parameter(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "UserName",
        Kind::Group => "GroupName",
        _ => "RoleName",
    }
}

/// The name of the holder, if the caller may do this to it.
fn holder<'c>(call: &Call<'c>, kind: Kind) -> Result<&'c str> {
    let name = call.form.required(parameter(kind))?;
    call.authorise(&call.arn(kind, name))?;
    Ok(name)
}

fn grants_of(state: &State, kind: Kind, account: &str, name: &str) -> Result<Grants> {
    match kind {
        Kind::User => Ok(state.user(account, name)?.grants.clone()),
        Kind::Group => Ok(state.group(account, name)?.grants.clone()),
        _ => Ok(state.role(account, name)?.grants.clone()),
    }
}

fn put_grants(state: &State, kind: Kind, account: &str, name: &str, grants: Grants) -> Result<Changes> {
    Ok(match kind {
        Kind::User => {
            let user = (**state.user(account, name)?).clone();
            users::put(crate::documents::UserDocument { grants, ..user })
        }
        Kind::Group => {
            let group = (**state.group(account, name)?).clone();
            groups::put(crate::documents::GroupDocument { grants, ..group })
        }
        _ => {
            let role = (**state.role(account, name)?).clone();
            roles::put(crate::documents::RoleDocument { grants, ..role })
        }
    })
}

async fn change(
    call: &Call<'_>,
    kind: Kind,
    name: &str,
    change: impl Fn(&State, &mut Grants) -> Result<()>,
) -> Result<Xml> {
    let account = call.account_id();
    call.store
        .change(|state| {
            let mut grants = grants_of(state, kind, account, name)?;
            change(state, &mut grants)?;
            Ok((put_grants(state, kind, account, name, grants)?, ()))
        })
        .await?;
    Ok(Xml::new())
}

pub(super) async fn put(call: &Call<'_>, kind: Kind) -> Result<Xml> {
    let name = holder(call, kind)?;
    let policy = call.form.required("PolicyName")?;
    names::check_name(Kind::Policy, policy)?;
    let text = call.form.required("PolicyDocument")?;
    let limit = limits::inline_chars(kind);
    limits::check_policy(text, PolicyKind::Identity, limit)?;
    change(call, kind, name, |_, grants| {
        grants.inline.insert(policy.to_owned(), text.to_owned());
        if !limits::fit(grants.inline.values().map(String::as_str), limit) {
            let message = format!("Maximum policy size of {limit} bytes exceeded for {} {name}", kind.word());
            return Err(IamError::new(Code::LimitExceeded, message));
        }
        Ok(())
    })
    .await
}

fn no_policy(kind: Kind, policy: &str) -> IamError {
    IamError::no_such(&format!("{} policy", kind.word()), policy)
}

pub(super) fn get(call: &Call<'_>, kind: Kind) -> Result<Xml> {
    let name = holder(call, kind)?;
    let policy = call.form.required("PolicyName")?;
    let grants = call.read(|state| grants_of(state, kind, call.account_id(), name))?;
    let text = grants.inline.get(policy).ok_or_else(|| no_policy(kind, policy))?;
    let mut xml = Xml::new();
    xml.text(parameter(kind), name).text("PolicyName", policy).text("PolicyDocument", encoded(text));
    Ok(xml)
}

/// A policy as answers have it.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub(super) async fn delete(call: &Call<'_>, kind: Kind) -> Result<Xml> {
    let name = holder(call, kind)?;
    let policy = call.form.required("PolicyName")?;
    change(call, kind, name, |_, grants| {
        grants.inline.remove(policy).map(drop).ok_or_else(|| no_policy(kind, policy))
    })
    .await
}

pub(super) fn list(call: &Call<'_>, kind: Kind) -> Result<Xml> {
    let name = holder(call, kind)?;
    let grants = call.read(|state| grants_of(state, kind, call.account_id(), name))?;
    let page = Page::of(call.form, grants.inline.into_keys(), Clone::clone)?;
    let mut xml = Xml::new();
    xml.texts("PolicyNames", page.items.iter().map(String::as_str));
    page.end(&mut xml);
    Ok(xml)
}

pub(super) async fn attach(call: &Call<'_>, kind: Kind) -> Result<Xml> {
    let name = holder(call, kind)?;
    let arn = call.form.required("PolicyArn")?;
    change(call, kind, name, |state, grants| {
        state.policy_text(call.account_id(), arn)?;
        if grants.attached.iter().any(|one| one == arn) {
            return Ok(());
        }
        if grants.attached.len() >= limits::ATTACHED {
            let what = format!("PoliciesPer{}", parameter(kind).trim_end_matches("Name"));
            return Err(IamError::limit(&what, limits::ATTACHED));
        }
        grants.attached.push(arn.to_owned());
        Ok(())
    })
    .await
}

pub(super) async fn detach(call: &Call<'_>, kind: Kind) -> Result<Xml> {
    let name = holder(call, kind)?;
    let arn = call.form.required("PolicyArn")?;
    change(call, kind, name, |_, grants| {
        let before = grants.attached.len();
        grants.attached.retain(|one| one != arn);
        if grants.attached.len() == before {
            return Err(IamError::new(Code::NoSuchEntity, format!("Policy {arn} was not found.")));
        }
        Ok(())
    })
    .await
}

pub(super) fn list_attached(call: &Call<'_>, kind: Kind) -> Result<Xml> {
    let name = holder(call, kind)?;
    let mut arns = call.read(|state| grants_of(state, kind, call.account_id(), name))?.attached;
    let prefix = call.form.get("PathPrefix").unwrap_or("/");
    arns.retain(|arn| arn.split_once(":policy").is_some_and(|(_, path)| path.starts_with(prefix)));
    arns.sort_unstable();
    let page = Page::of(call.form, arns, Clone::clone)?;
    let mut xml = Xml::new();
    xml.list("AttachedPolicies", &page.items, |xml, arn| {
        xml.text("PolicyName", arn.rsplit('/').next().unwrap_or_default()).text("PolicyArn", arn);
    });
    page.end(&mut xml);
    Ok(xml)
}
