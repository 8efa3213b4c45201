//! AssumeRoleWithWebIdentity: credentials of a role for who brings a token of a provider that the role trusts.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use std::sync::Arc;

use granary_auth::policy::{Caller, Context, Policy, PolicyKind, PolicyRequest, ResourceDecision};

use super::call::Call;
use super::sts;
use super::xml::Xml;
use crate::documents::{Kind, ProviderDocument, RoleDocument};
use crate::error::{Code, IamError, Result};
use crate::token::{Subject, Token};
use crate::web_identity::{self, Verified};

/// The action, which nobody signs.
pub(super) const ACTION: &str = "AssumeRoleWithWebIdentity";

pub(super) async fn assume_role(call: &Call<'_>) -> Result<Xml> {
    let arn = call.form.required("RoleArn")?;
    let session = sts::session_name(call)?;
    let token = call.form.required("WebIdentityToken")?;
    let issuer = web_identity::issuer_of(token)?;
    // Whether there is such a role is nobody's business who may not assume it.
    let role = sts::find_role(call, arn).ok_or_else(denied)?;
    let provider = call.read(|state| state.provider_with(&role.head.account, &issuer).cloned());
    let provider = provider.ok_or_else(|| {
        let message = "No OpenIDConnect provider found in your account for the issuer of the token";
        IamError::new(Code::InvalidIdentityToken, message)
    })?;
    let verified = call.store.verify_web_identity(&provider, token).await?;
    check_trust(call, &role, (&provider, &verified), session)?;
    let lasts_s = sts::duration_of(call, role.max_session_s)?;
    let account = &role.head.account;
    let (policy, policy_arns) = sts::session_policies(call, account)?;
    let subject = Subject::Role { id: role.head.id.clone(), session: session.to_owned() };
    // No key began this: it ends with the provider.
    let made = sts::token(account, subject, &provider.arn(), lasts_s)?;
    let mut xml = sts::issue(call, &Token { policy, policy_arns, ..made }).await?;
    sts::write_role_user(&mut xml, &role, session);
    xml.text("SubjectFromWebIdentityToken", &verified.subject)
        .text("Audience", &verified.audience)
        .text("Provider", provider.arn());
    Ok(xml)
}

/// Whether the role's trust policy lets in who the provider vouches for.
fn check_trust(
    call: &Call<'_>,
    role: &Arc<RoleDocument>,
    (provider, verified): (&ProviderDocument, &Verified),
    session: &str,
) -> Result<()> {
    let arn = role.head.arn(Kind::Role);
    let trust = Policy::parse(role.trust.as_bytes(), PolicyKind::Trust)
        .map_err(|error| IamError::Unusable(format!("the trust policy of {arn} cannot be read: {error}")))?;
    let place = provider.place();
    let mut context = Context::new();
    context.set("sts:RoleSessionName", session);
    context.set("aws:FederatedProvider", provider.arn());
    context.set(&format!("{place}:sub"), verified.subject.as_str());
    context.set(&format!("{place}:aud"), verified.audience.as_str());
    if let Some(party) = &verified.authorized_party {
        context.set(&format!("{place}:azp"), party.as_str());
    }
    context.set_all(&format!("{place}:amr"), verified.methods.clone());
    let provider = provider.arn();
    let caller = Caller::Federated { provider: &provider };
    let request = PolicyRequest { action: &call.action, resource: &arn, context: &context };
    match trust.decide(&caller, &request) {
        ResourceDecision::Allow(_) => Ok(()),
        ResourceDecision::ExplicitDeny | ResourceDecision::ImplicitDeny => Err(denied()),
    }
}

fn denied() -> IamError {
    IamError::new(Code::AccessDenied, format!("Not authorized to perform sts:{ACTION}"))
}
