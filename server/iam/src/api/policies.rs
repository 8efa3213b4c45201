//! Managed policies and their versions.

use std::sync::Arc;

use granary_auth::policy::PolicyKind;

use super::call::Call;
use super::common::{description, exists, new_head, path_prefix};
use super::grants::encoded;
use super::limits;
use super::paging::Page;
use super::tagging;
use super::xml::Xml;
use crate::aws_managed::{self, AwsManaged};
use crate::documents::{Document, Head, Kind, PolicyDocument, PolicyVersion};
use crate::error::{Code, IamError, Result};
use crate::names;
use crate::state::{Changes, State};

/// What is to be seen of a policy, whoever made it.
struct View {
    name: String,
    id: String,
    arn: String,
    path: String,
    default_version: u32,
    uses: (usize, usize),
    description: Option<String>,
    created_ms: i64,
    updated_ms: i64,
    tags: Vec<(String, String)>,
}

impl View {
    fn of(state: &State, account: &str, policy: &PolicyDocument) -> Self {
        let head = &policy.head;
        let arn = head.arn(Kind::Policy);
        Self {
            name: head.name.clone(),
            id: head.id.clone(),
            uses: state.uses_of(account, &arn),
            arn,
            path: head.path.clone(),
            default_version: policy.default_version,
            description: policy.description.clone(),
            created_ms: head.created_ms,
            updated_ms: policy.updated_ms,
            tags: policy.tags.clone(),
        }
    }

    fn of_aws(state: &State, account: &str, managed: &AwsManaged) -> Self {
        let arn = managed.arn();
        Self {
            name: managed.name.to_owned(),
            id: managed.id.to_owned(),
            uses: state.uses_of(account, &arn),
            arn,
            path: "/".to_owned(),
            default_version: 1,
            description: Some(managed.description.to_owned()),
            created_ms: 0,
            updated_ms: 0,
            tags: Vec::new(),
        }
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("PolicyName", &self.name)
            .text("PolicyId", &self.id)
            .text("Arn", &self.arn)
            .text("Path", &self.path)
            .text("DefaultVersionId", format!("v{}", self.default_version))
            .text("AttachmentCount", self.uses.0.to_string())
            .text("PermissionsBoundaryUsageCount", self.uses.1.to_string())
            .text("IsAttachable", "true")
            .optional("Description", self.description.as_deref())
            .time("CreateDate", self.created_ms)
            .time("UpdateDate", self.updated_ms);
        if !self.tags.is_empty() {
            xml.tags(&self.tags);
        }
    }
}

fn put(policy: PolicyDocument) -> Changes {
    let name = Kind::Policy.document_name(&policy.head.account, &policy.head.name);
    vec![(name, Some(Document::Policy(Arc::new(policy))))]
}

/// The ARN of the request, if the caller may do this to the policy.
fn named<'c>(call: &Call<'c>) -> Result<&'c str> {
    let arn = call.form.required("PolicyArn")?;
    if !arn.starts_with("arn:aws:iam::") {
        return Err(IamError::new(Code::InvalidInput, format!("ARN {arn} is not valid.")));
    }
    call.authorise(arn)?;
    Ok(arn)
}

pub(super) async fn create(call: &Call<'_>) -> Result<Xml> {
    let head = new_head(call, Kind::Policy, "PolicyName")?;
    let (name, now_ms) = (head.name.clone(), head.created_ms);
    let text = call.form.required("PolicyDocument")?;
    limits::check_policy(text, PolicyKind::Identity, limits::MANAGED_POLICY_CHARS)?;
    let policy = PolicyDocument {
        head,
        description: description(call)?,
        versions: vec![PolicyVersion { number: 1, text: text.to_owned(), created_ms: now_ms }],
        default_version: 1,
        next_version: 2,
        updated_ms: now_ms,
        tags: call.form.tags()?,
    };
    call.store
        .change(|state| {
            if state.policy(call.account_id(), &name).is_some() {
                return Err(exists(Kind::Policy, &name));
            }
            if state.policies(call.account_id()).count() >= limits::POLICIES {
                return Err(IamError::limit("PoliciesPerAccount", limits::POLICIES));
            }
            Ok((put(policy.clone()), ()))
        })
        .await?;
    let view = call.read(|state| View::of(state, call.account_id(), &policy));
    let mut xml = Xml::new();
    xml.element("Policy", |xml| view.write(xml));
    Ok(xml)
}

pub(super) fn get(call: &Call<'_>) -> Result<Xml> {
    let arn = named(call)?;
    let view = call.read(|state| match aws_managed::find(arn) {
        Some(managed) => Ok(View::of_aws(state, call.account_id(), managed)),
        None => {
            state.policy_of(call.account_id(), arn).map(|policy| View::of(state, call.account_id(), policy))
        }
    })?;
    let mut xml = Xml::new();
    xml.element("Policy", |xml| view.write(xml));
    Ok(xml)
}

pub(super) fn list(call: &Call<'_>) -> Result<Xml> {
    let prefix = path_prefix(call);
    call.authorise(&format!("arn:aws:iam::{}:policy{prefix}", call.account_id()))?;
    let (own, aws) = match call.form.get("Scope").unwrap_or("All") {
        "All" => (true, true),
        "Local" => (true, false),
        "AWS" => (false, true),
        _ => return Err(IamError::invalid("The value of Scope must be All, AWS or Local.")),
    };
    let only_attached = call.form.flag("OnlyAttached")?;
    let page = call.read(|state| {
        let account = call.account_id();
        let own = state.policies(account).filter(|_| own).map(|policy| View::of(state, account, policy));
        let aws = aws_managed::ALL.iter().filter(|_| aws);
        let aws = aws.map(|managed| View::of_aws(state, account, managed));
        let mut views: Vec<View> = own
            .chain(aws)
            .filter(|view| view.path.starts_with(prefix) && (!only_attached || view.uses.0 > 0))
            .collect();
        views.sort_by_cached_key(key);
        Page::of(call.form, views, key)
    })?;
    let mut xml = Xml::new();
    xml.list("Policies", &page.items, |xml, view| view.write(xml));
    page.end(&mut xml);
    Ok(xml)
}

/// A name may be AWS's and the account's.
fn key(view: &View) -> String {
    format!("{}\n{}", view.name.to_ascii_lowercase(), view.arn)
}

/// Changes a policy of the account.
async fn change(call: &Call<'_>, change: impl Fn(&mut PolicyDocument) -> Result<()>) -> Result<()> {
    let arn = named(call)?;
    call.store
        .change(|state| {
            let mut policy = (**state.policy_of(call.account_id(), arn)?).clone();
            change(&mut policy)?;
            Ok((put(policy), ()))
        })
        .await
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Xml> {
    let arn = named(call)?;
    call.store
        .change(|state| {
            let policy = state.policy_of(call.account_id(), arn)?;
            if state.uses_of(call.account_id(), arn) != (0, 0) {
                let message = "Cannot delete a policy attached to entities.";
                return Err(IamError::new(Code::DeleteConflict, message));
            }
            if policy.versions.len() > 1 {
                let message = "This policy has more than one version. Before you delete a policy, you must delete the \
                               policy's versions. The default version is deleted with the policy.";
                return Err(IamError::new(Code::DeleteConflict, message));
            }
            Ok((vec![(Kind::Policy.document_name(call.account_id(), &policy.head.name), None)], ()))
        })
        .await?;
    Ok(Xml::new())
}

/// The version of the request, `v1` and so on.
fn version_number(call: &Call<'_>) -> Result<u32> {
    let text = call.form.required("VersionId")?;
    let number = text.strip_prefix('v').and_then(|number| number.parse().ok());
    number.ok_or_else(|| IamError::invalid("The value of VersionId must be v and a number."))
}

fn no_version(number: u32) -> IamError {
    IamError::new(
        Code::NoSuchEntity,
        format!("Policy version v{number} does not exist or is not attachable."),
    )
}

fn write_version(xml: &mut Xml, version: &PolicyVersion, default: u32) {
    let is_default = version.number == default;
    xml.text("VersionId", format!("v{}", version.number))
        .text("IsDefaultVersion", if is_default { "true" } else { "false" })
        .time("CreateDate", version.created_ms);
}

pub(super) async fn create_version(call: &Call<'_>) -> Result<Xml> {
    let text = call.form.required("PolicyDocument")?;
    limits::check_policy(text, PolicyKind::Identity, limits::MANAGED_POLICY_CHARS)?;
    let set_default = call.form.flag("SetAsDefault")?;
    let arn = named(call)?;
    let created_ms = names::now_ms();
    let (version, default) = call
        .store
        .change(|state| {
            let mut policy = (**state.policy_of(call.account_id(), arn)?).clone();
            if policy.versions.len() >= limits::VERSIONS {
                return Err(IamError::limit("VersionsPerPolicy", limits::VERSIONS));
            }
            let version = PolicyVersion { number: policy.next_version, text: text.to_owned(), created_ms };
            policy.next_version = policy.next_version.saturating_add(1);
            policy.updated_ms = created_ms;
            policy.versions.push(version.clone());
            if set_default {
                policy.default_version = version.number;
            }
            let default = policy.default_version;
            Ok((put(policy), (version, default)))
        })
        .await?;
    let mut xml = Xml::new();
    xml.element("PolicyVersion", |xml| write_version(xml, &version, default));
    Ok(xml)
}

/// The versions of the policy, and which of them is in effect.
fn versions(call: &Call<'_>, arn: &str) -> Result<(Vec<PolicyVersion>, u32)> {
    if let Some(managed) = aws_managed::find(arn) {
        return Ok((vec![PolicyVersion { number: 1, text: managed.text.to_owned(), created_ms: 0 }], 1));
    }
    call.read(|state| {
        let policy = state.policy_of(call.account_id(), arn)?;
        Ok((policy.versions.clone(), policy.default_version))
    })
}

pub(super) fn get_version(call: &Call<'_>) -> Result<Xml> {
    let (versions, default) = versions(call, named(call)?)?;
    let number = version_number(call)?;
    let version = versions.iter().find(|version| version.number == number);
    let version = version.ok_or_else(|| no_version(number))?;
    let mut xml = Xml::new();
    xml.element("PolicyVersion", |xml| {
        xml.text("Document", encoded(&version.text));
        write_version(xml, version, default);
    });
    Ok(xml)
}

pub(super) fn list_versions(call: &Call<'_>) -> Result<Xml> {
    let (versions, default) = versions(call, named(call)?)?;
    let newest_first = versions.into_iter().rev();
    // Newest first, so the keys that pages go by count down.
    let page = Page::of(call.form, newest_first, |version| format!("{:010}", u32::MAX - version.number))?;
    let mut xml = Xml::new();
    xml.list("Versions", &page.items, |xml, version| write_version(xml, version, default));
    page.end(&mut xml);
    Ok(xml)
}

pub(super) async fn delete_version(call: &Call<'_>) -> Result<Xml> {
    let number = version_number(call)?;
    change(call, |policy| {
        if policy.default_version == number {
            let message = "Cannot delete the default version of a policy.";
            return Err(IamError::new(Code::DeleteConflict, message));
        }
        let before = policy.versions.len();
        policy.versions.retain(|version| version.number != number);
        if policy.versions.len() == before { Err(no_version(number)) } else { Ok(()) }
    })
    .await?;
    Ok(Xml::new())
}

pub(super) async fn set_default(call: &Call<'_>) -> Result<Xml> {
    let number = version_number(call)?;
    let now_ms = names::now_ms();
    change(call, |policy| {
        if !policy.versions.iter().any(|version| version.number == number) {
            return Err(no_version(number));
        }
        policy.default_version = number;
        policy.updated_ms = now_ms;
        Ok(())
    })
    .await?;
    Ok(Xml::new())
}

pub(super) async fn tag(call: &Call<'_>) -> Result<Xml> {
    let tags = tagging::change(call)?;
    change(call, |policy| tags.apply(&mut policy.tags)).await?;
    Ok(Xml::new())
}

pub(super) fn tags(call: &Call<'_>) -> Result<Xml> {
    let arn = named(call)?;
    let policy = call.read(|state| state.policy_of(call.account_id(), arn).cloned())?;
    tagging::list(call, &policy.tags)
}

/// Who has a policy attached. One page: quotas bound it to few thousands.
pub(super) fn entities(call: &Call<'_>) -> Result<Xml> {
    let arn = named(call)?;
    call.read(|state| state.policy_text(call.account_id(), arn).map(drop))?;
    let has = |attached: &[String]| attached.iter().any(|one| one == arn);
    let account = call.account_id();
    let heads = |kind: Kind| -> Vec<Head> {
        call.read(|state| match kind {
            Kind::User => state
                .users(account)
                .filter(|user| has(&user.grants.attached))
                .map(|user| user.head.clone())
                .collect(),
            Kind::Group => state
                .groups(account)
                .filter(|group| has(&group.grants.attached))
                .map(|group| group.head.clone())
                .collect(),
            _ => state
                .roles(account)
                .filter(|role| has(&role.grants.attached))
                .map(|role| role.head.clone())
                .collect(),
        })
    };
    let wanted = call.form.get("EntityFilter");
    let lists = [
        (Kind::Group, "Group", "PolicyGroups", "GroupName", "GroupId"),
        (Kind::User, "User", "PolicyUsers", "UserName", "UserId"),
        (Kind::Role, "Role", "PolicyRoles", "RoleName", "RoleId"),
    ];
    let mut xml = Xml::new();
    for (kind, word, list, name, id) in lists {
        let found = if wanted.is_none_or(|wanted| wanted == word) { heads(kind) } else { Vec::new() };
        xml.list(list, found, |xml, head| {
            xml.text(name, &head.name).text(id, &head.id);
        });
    }
    xml.text("IsTruncated", "false");
    Ok(xml)
}
