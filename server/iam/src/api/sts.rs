//! Temporary credentials.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html>

use std::sync::Arc;

use granary_auth::policy::{
    Caller, Context, Decision, Grant, Policy, PolicyKind, PolicyRequest, ResourceDecision,
};
use granary_auth::{Identity, IdentityKind, Principal};
use zeroize::Zeroizing;

use super::call::Call;
use super::conditions::RESOURCE_TAGS;
use super::limits;
use super::xml::Xml;
use crate::documents::{Kind, RoleDocument};
use crate::error::{Code, IamError, Result};
use crate::marks::{Asked, Marking, Marks};
use crate::names::{self, IdKind};
use crate::token::{Link, Subject, Token};

const SESSION_MIN_S: u32 = 900;
/// The longest session of a user, 36 hours, and of the root user of an account.
const USER_SESSION_MAX_S: u32 = 129_600;
const ROOT_SESSION_MAX_S: u32 = 3_600;
/// What a session lasts if nothing is said.
const USER_SESSION_DEFAULT_S: u32 = 43_200;
const ROLE_SESSION_DEFAULT_S: u32 = 3_600;
/// The longest session of a role that another session of a role assumed.
const CHAINED_SESSION_MAX_S: u32 = 3_600;
const SESSION_POLICY_ARNS: usize = 10;

pub(super) fn caller_identity(call: &Call<'_>) -> Xml {
    let id =
        call.identity().map_or_else(|| call.account_id().to_owned(), |identity| identity.user_id.clone());
    let mut xml = Xml::new();
    xml.text("Arn", call.caller_arn()).text("UserId", id).text("Account", call.account_id());
    xml
}

/// Seals the token and writes its credentials.
async fn issue(call: &Call<'_>, token: &Token) -> Result<Xml> {
    let packed_percent = token.packed_percent();
    if let Some(percent @ 101..) = packed_percent {
        let message = format!("The session's policies and tags take {percent}% of the space that there is.");
        return Err(IamError::new(Code::PackedPolicyTooLarge, message));
    }
    let sealed = token.seal(&*call.store.vault().await?)?;
    let mut xml = Xml::new();
    xml.element("Credentials", |xml| {
        xml.text("AccessKeyId", &token.access_key)
            .text("SecretAccessKey", &*token.secret)
            .text("SessionToken", sealed)
            .time("Expiration", token.expires_s.saturating_mul(1000));
    });
    xml.optional("PackedPolicySize", packed_percent.map(|percent| percent.to_string()).as_deref())
        .optional("SourceIdentity", token.subject.marks().source_identity.as_deref());
    Ok(xml)
}

fn token(account: &str, subject: Subject, parent: &str, lasts_s: u32) -> Result<Token> {
    let issued_s = names::now_ms() / 1000;
    Ok(Token {
        access_key: names::new_id(IdKind::TemporaryKey)?,
        secret: Zeroizing::new(names::new_secret()?),
        account: account.to_owned(),
        subject,
        parent: parent.to_owned(),
        issued_s,
        expires_s: issued_s.saturating_add(i64::from(lasts_s)),
        policy: None,
        policy_arns: Vec::new(),
        link: Link::First,
    })
}

pub(super) async fn session_token(call: &Call<'_>) -> Result<Xml> {
    let wanted = call.form.number("DurationSeconds", SESSION_MIN_S, USER_SESSION_MAX_S)?;
    let (subject, lasts_s) = match call.identity() {
        Some(Identity { session: Some(_), .. }) => {
            let message = "Cannot call GetSessionToken with session credentials";
            return Err(IamError::new(Code::AccessDenied, message));
        }
        Some(identity) if identity.kind == IdentityKind::User => {
            let subject = Subject::User { id: identity.user_id.clone() };
            (subject, wanted.unwrap_or(USER_SESSION_DEFAULT_S))
        }
        // AWS shortens what is longer.
        _ => (Subject::Root, wanted.unwrap_or(ROOT_SESSION_MAX_S).min(ROOT_SESSION_MAX_S)),
    };
    // It needs no permission, but it can be denied.
    if call.decide(&call.action, "*")? == Decision::ExplicitDeny {
        call.authorise("*")?;
    }
    issue(call, &token(call.account_id(), subject, call.access_key(), lasts_s)?).await
}

/// The policy that says who may assume a role.
pub(super) fn trust_policy(role: &RoleDocument) -> Result<Policy> {
    Policy::parse(role.trust.as_bytes(), PolicyKind::Trust).map_err(|error| {
        let arn = role.head.arn(Kind::Role);
        IamError::Unusable(format!("the trust policy of {arn} cannot be read: {error}"))
    })
}

/// Sets the condition keys that are about a session of the role that is asked for.
pub(super) fn describe_session(
    call: &Call<'_>,
    role: &RoleDocument,
    marking: &Marking,
    context: &mut Context,
) {
    if let Some(name) = call.form.get("RoleSessionName") {
        context.set("sts:RoleSessionName", name);
    }
    for family in RESOURCE_TAGS {
        context.set_tags(family, &role.tags);
    }
    marking.describe(context);
}

/// Whether the role's trust policy and the caller's own policies let the caller assume it, so marked.
fn check_trust(call: &Call<'_>, identity: &Identity, role: &RoleDocument, marking: &Marking) -> Result<()> {
    let arn = role.head.arn(Kind::Role);
    let trust = trust_policy(role)?;
    let mut context = call.context();
    identity.describe(&mut context);
    if let Some(id) = call.form.get("ExternalId") {
        context.set("sts:ExternalId", id);
    }
    describe_session(call, role, marking, &mut context);
    let caller = Caller::from(identity);
    let is_same_account = identity.account.id == role.head.account;
    for action in marking.permissions(&call.action) {
        let trusted = trust.decide(&caller, &PolicyRequest { action, resource: &arn, context: &context });
        let own = call.decide_in(identity, action, &arn, &context);
        let allowed = match (trusted, own) {
            (ResourceDecision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => false,
            (ResourceDecision::Allow(_), Decision::Allow) => true,
            // Within an account, whom the role names itself needs nothing else. A session that was narrowed does.
            (ResourceDecision::Allow(Grant::Caller | Grant::Anyone), Decision::ImplicitDeny) => {
                is_same_account && identity.boundary.is_none() && identity.session.is_none()
            }
            _ => false,
        };
        if !allowed {
            return Err(denied(call, action, &arn));
        }
    }
    Ok(())
}

fn denied(call: &Call<'_>, action: &str, arn: &str) -> IamError {
    let who = call.caller_arn();
    let message = format!("User: {who} is not authorized to perform: {action} on resource: {arn}");
    IamError::new(Code::AccessDenied, message)
}

/// The marks that the parameters of a request ask for.
fn asked(call: &Call<'_>) -> Result<Asked> {
    Ok(Asked {
        tags: call.form.unchecked_tags()?,
        transitive_keys: call.form.members("TransitiveTagKeys", "").into_iter().map(str::to_owned).collect(),
        source_identity: call.form.get_any("SourceIdentity").map(str::to_owned),
    })
}

/// The role of that ARN, in whatever account.
pub(super) fn find_role(call: &Call<'_>, arn: &str) -> Option<Arc<RoleDocument>> {
    let (account, path) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let name = path.rsplit('/').next()?;
    let role = call.read(|state| state.role(account, name).ok().cloned())?;
    (role.head.arn(Kind::Role) == arn).then_some(role)
}

/// The session policies of the request, checked.
fn session_policies(call: &Call<'_>, account: &str) -> Result<(Option<String>, Vec<String>)> {
    let policy = call.form.get("Policy");
    if let Some(text) = policy {
        if !limits::fit([text], limits::SESSION_POLICY_CHARS) {
            let message = "The policy is longer than a session policy may be.";
            return Err(IamError::new(Code::PackedPolicyTooLarge, message));
        }
        Policy::parse(text.as_bytes(), PolicyKind::Identity)?;
    }
    let arns = call.form.members("PolicyArns", ".arn");
    if arns.len() > SESSION_POLICY_ARNS {
        return Err(IamError::invalid(format!("There are at most {SESSION_POLICY_ARNS} session policies.")));
    }
    for arn in &arns {
        call.read(|state| state.policy_text(account, arn).map(drop))?;
    }
    Ok((policy.map(str::to_owned), arns.into_iter().map(str::to_owned).collect()))
}

/// The name that the request gives the session.
pub(super) fn session_name<'c>(call: &Call<'c>) -> Result<&'c str> {
    let session = call.form.required("RoleSessionName")?;
    names::check_session_text("RoleSessionName", session)?;
    Ok(session)
}

/// How long the session lasts, which is `longest_s` at most.
fn duration_of(call: &Call<'_>, longest_s: u32) -> Result<u32> {
    let lasts_s = call.form.number("DurationSeconds", SESSION_MIN_S, USER_SESSION_MAX_S)?;
    let lasts_s = lasts_s.unwrap_or(ROLE_SESSION_DEFAULT_S.min(longest_s));
    if lasts_s > longest_s {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(IamError::invalid(message));
    }
    Ok(lasts_s)
}

/// A session of a role that may be assumed.
pub(super) struct RoleSession<'a> {
    pub(super) role: &'a RoleDocument,
    pub(super) name: &'a str,
    pub(super) marks: Marks,
    /// How long it may last.
    pub(super) longest_s: u32,
    /// What it ends with: the long-term key that all this began with, or the ARN of the identity provider.
    pub(super) parent: &'a str,
    pub(super) link: Link,
}

/// Makes the session, as the request wants it.
pub(super) async fn open_session(call: &Call<'_>, asked: RoleSession<'_>) -> Result<Xml> {
    let RoleSession { role, name, marks, longest_s, parent, link } = asked;
    let lasts_s = duration_of(call, longest_s)?;
    let account = &role.head.account;
    let (policy, policy_arns) = session_policies(call, account)?;
    let made = token(account, Subject::role(&role.head.id, name, marks), parent, lasts_s)?;
    let mut xml = issue(call, &Token { policy, policy_arns, link, ..made }).await?;
    xml.element("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", format!("{}:{name}", role.head.id))
            .text("Arn", format!("arn:aws:sts::{account}:assumed-role/{}/{name}", role.head.name));
    });
    Ok(xml)
}

pub(super) async fn assume_role(call: &Call<'_>) -> Result<Xml> {
    let arn = call.form.required("RoleArn")?;
    let name = session_name(call)?;
    let identity = match call.principal {
        Principal::User(identity) if identity.kind != IdentityKind::AccountRoot => identity,
        _ => return Err(IamError::new(Code::AccessDenied, "Roles may not be assumed by root accounts.")),
    };
    let marking = asked(call)?.check(identity.session.as_ref())?;
    // Whether there is such a role is nobody's business who may not assume it.
    let role = find_role(call, arn).ok_or_else(|| denied(call, &call.action, arn))?;
    check_trust(call, identity, &role, &marking)?;
    let longest_s = match identity.kind {
        IdentityKind::AssumedRole => role.max_session_s.min(CHAINED_SESSION_MAX_S),
        _ => role.max_session_s,
    };
    // A chain of sessions ends with the key, or the identity provider, that it began with.
    let (parent, link) = match &identity.session {
        Some(session) => (session.parent.as_str(), Link::Later),
        None => (call.access_key(), Link::First),
    };
    let marks = marking.marks;
    open_session(call, RoleSession { role: &role, name, marks, longest_s, parent, link }).await
}
