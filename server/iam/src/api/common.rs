//! What users, groups, roles and policies have in common.

use super::call::Call;
use super::xml::Xml;
use crate::documents::{Head, Kind, Tag};
use crate::error::{Code, IamError, Result};
use crate::names::{self, IdKind};

/// The path of the request, or the root.
pub(super) fn path<'c>(call: &Call<'c>) -> Result<&'c str> {
    let path = call.form.get("Path").unwrap_or("/");
    names::check_path(path)?;
    Ok(path)
}

/// The beginning of the paths that are listed.
pub(super) fn path_prefix<'c>(call: &Call<'c>) -> &'c str {
    call.form.get("PathPrefix").unwrap_or("/")
}

/// The ARN of what is to be made.
pub(super) fn new_arn(call: &Call<'_>, kind: Kind, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{}:{}{path}{name}", call.account_id(), kind.word())
}

/// The head of what the request is to make under the name in `parameter`, if the caller may make it.
pub(super) fn new_head(call: &Call<'_>, kind: Kind, parameter: &str) -> Result<Head> {
    let name = call.form.required(parameter)?;
    names::check_name(kind, name)?;
    let path = path(call)?;
    let arn = new_arn(call, kind, path, name);
    call.authorise(&arn)?;
    match kind {
        Kind::User => authorise_tags(call, "iam:TagUser", &arn)?,
        Kind::Role => authorise_tags(call, "iam:TagRole", &arn)?,
        Kind::Policy => authorise_tags(call, "iam:TagPolicy", &arn)?,
        Kind::Group => {}
    }
    let id = match kind {
        Kind::User => IdKind::User,
        Kind::Group => IdKind::Group,
        Kind::Role => IdKind::Role,
        Kind::Policy => IdKind::Policy,
    };
    Ok(Head {
        account: call.account_id().to_owned(),
        name: name.to_owned(),
        path: path.to_owned(),
        id: names::new_id(id)?,
        created_ms: names::now_ms(),
    })
}

/// Lets what is made have the tags that the request gives it, if there are any, which takes the permission to give them.
pub(super) fn authorise_tags(call: &Call<'_>, action: &str, arn: &str) -> Result<()> {
    if call.form.unchecked_tags()?.is_empty() { Ok(()) } else { call.authorise_to(action, arn) }
}

/// A new name and path.
pub(super) struct Renaming<'c> {
    name: Option<&'c str>,
    path: Option<&'c str>,
}

impl<'c> Renaming<'c> {
    /// What the request wants for something that has this head, if the caller may do it.
    pub(super) fn read(call: &Call<'c>, kind: Kind, parameter: &str, head: &Head) -> Result<Self> {
        let (name, path) = (call.form.get(parameter), call.form.get("NewPath"));
        name.map_or(Ok(()), |name| names::check_name(kind, name))?;
        path.map_or(Ok(()), names::check_path)?;
        call.authorise(&new_arn(call, kind, path.unwrap_or(&head.path), name.unwrap_or(&head.name)))?;
        Ok(Self { name, path })
    }

    /// Applies it. `is_taken` says whether a name is.
    pub(super) fn apply(&self, kind: Kind, head: &mut Head, is_taken: impl Fn(&str) -> bool) -> Result<()> {
        if let Some(name) = self.name {
            if !name.eq_ignore_ascii_case(&head.name) && is_taken(name) {
                return Err(exists(kind, name));
            }
            name.clone_into(&mut head.name);
        }
        if let Some(path) = self.path {
            path.clone_into(&mut head.path);
        }
        Ok(())
    }
}

/// An entity of that name is there already.
pub(super) fn exists(kind: Kind, name: &str) -> IamError {
    let mut word = kind.word().to_owned();
    word.get_mut(..1).into_iter().for_each(str::make_ascii_uppercase);
    IamError::new(Code::EntityAlreadyExists, format!("{word} with name {name} already exists."))
}

/// Refuses to delete what still has something: of each, whether it is gone, and what must be done first.
pub(super) fn check_unused(left: &[(bool, &str)]) -> Result<()> {
    match left.iter().find(|(is_gone, _)| !is_gone) {
        Some((_, what)) => {
            let message = format!("Cannot delete entity, must {what} first.");
            Err(IamError::new(Code::DeleteConflict, message))
        }
        None => Ok(()),
    }
}

/// The permissions boundary of the request, which must be there.
pub(super) fn boundary(call: &Call<'_>) -> Result<Option<String>> {
    let Some(arn) = call.form.get("PermissionsBoundary") else { return Ok(None) };
    call.read(|state| state.policy_text(call.account_id(), arn).map(drop))?;
    Ok(Some(arn.to_owned()))
}

/// There is no permissions boundary.
pub(super) fn no_boundary(name: &str) -> IamError {
    IamError::new(Code::NoSuchEntity, format!("{name} has no permissions boundary."))
}

/// The description of the request.
pub(super) fn description(call: &Call<'_>) -> Result<Option<String>> {
    let description = call.form.get("Description").map(str::to_owned);
    if description.as_ref().is_some_and(|text| text.chars().count() > 1_000) {
        return Err(IamError::invalid("The description must have at most 1000 characters."));
    }
    Ok(description)
}

/// Writes what only some users and roles have.
pub(super) fn write_extras(xml: &mut Xml, boundary: Option<&String>, tags: &[Tag]) {
    if let Some(boundary) = boundary {
        xml.element("PermissionsBoundary", |xml| {
            xml.text("PermissionsBoundaryType", "Policy").text("PermissionsBoundaryArn", boundary);
        });
    }
    if !tags.is_empty() {
        xml.tags(tags);
    }
}
