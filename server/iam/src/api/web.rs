//! AssumeRoleWithWebIdentity: credentials of a role for who brings a token of a provider that the role trusts.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use std::sync::Arc;

use granary_auth::policy::{Caller, PolicyRequest, ResourceDecision};

use super::call::Call;
use super::sts::{self, RoleSession};
use super::xml::Xml;
use crate::documents::{Kind, ProviderDocument, RoleDocument};
use crate::error::{Code, IamError, Result};
use crate::marks::Marking;
use crate::token::Link;
use crate::web_identity::{self, Verified};

/// The action, which nobody signs.
pub(super) const ACTION: &str = "AssumeRoleWithWebIdentity";

pub(super) async fn assume_role(call: &Call<'_>) -> Result<Xml> {
    let arn = call.form.required("RoleArn")?;
    let name = sts::session_name(call)?;
    let token = call.form.required("WebIdentityToken")?;
    let issuer = web_identity::issuer_of(token)?;
    // Whether there is such a role is nobody's business who may not assume it.
    let role = sts::find_role(call, arn).ok_or_else(|| denied(&call.action))?;
    let provider = call.read(|state| state.provider_with(&role.head.account, &issuer).cloned());
    let provider = provider.ok_or_else(|| {
        let message = "No OpenIDConnect provider found in your account for the issuer of the token";
        IamError::new(Code::InvalidIdentityToken, message)
    })?;
    let verified = call.store.verify_web_identity(&provider, token).await?;
    let marking = verified.asked.clone().check(None)?;
    check_trust(call, &role, (&provider, &verified), &marking)?;
    // No key began this: it ends with the provider.
    let parent = provider.arn();
    let (marks, longest_s) = (marking.marks, role.max_session_s);
    let asked = RoleSession { role: &role, name, marks, longest_s, parent: &parent, link: Link::First };
    let mut xml = sts::open_session(call, asked).await?;
    xml.text("SubjectFromWebIdentityToken", &verified.subject)
        .text("Audience", &verified.audience)
        .text("Provider", parent);
    Ok(xml)
}

/// Whether the role's trust policy lets in who the provider vouches for, so marked.
fn check_trust(
    call: &Call<'_>,
    role: &Arc<RoleDocument>,
    (provider, verified): (&ProviderDocument, &Verified),
    marking: &Marking,
) -> Result<()> {
    let arn = role.head.arn(Kind::Role);
    let trust = sts::trust_policy(role)?;
    let place = provider.place();
    let mut context = call.context();
    sts::describe_session(call, role, marking, &mut context);
    context.set("aws:FederatedProvider", provider.arn());
    context.set(&format!("{place}:sub"), verified.subject.as_str());
    context.set(&format!("{place}:aud"), verified.audience.as_str());
    if let Some(party) = &verified.authorized_party {
        context.set(&format!("{place}:azp"), party.as_str());
    }
    context.set_all(&format!("{place}:amr"), verified.methods.clone());
    let provider = provider.arn();
    let caller = Caller::Federated { provider: &provider };
    for action in marking.permissions(&call.action) {
        match trust.decide(&caller, &PolicyRequest { action, resource: &arn, context: &context }) {
            ResourceDecision::Allow(_) => {}
            ResourceDecision::ExplicitDeny | ResourceDecision::ImplicitDeny => return Err(denied(action)),
        }
    }
    Ok(())
}

fn denied(action: &str) -> IamError {
    IamError::new(Code::AccessDenied, format!("Not authorized to perform {action}"))
}
