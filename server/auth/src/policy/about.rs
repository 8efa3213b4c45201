//! What policies may ask about who makes a request, from where, and when.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::context::Context;
use crate::identity::Identity;
use crate::peer::Peer;

impl Identity {
    /// Sets the condition keys that are about the identity, whatever it asks for.
    pub fn describe(&self, context: &mut Context) {
        context.set("aws:PrincipalArn", self.principal_arn());
        context.set("aws:PrincipalAccount", self.account.id.as_str());
        context.set("aws:PrincipalType", self.principal_type());
        context.set("aws:userid", self.user_id.as_str());
        if let Some(name) = self.username() {
            context.set("aws:username", name);
        }
        context.set_tags("aws:PrincipalTag/", &self.tags);
        let Some(session) = &self.session else { return };
        if let Some(text) = iso(session.issued_at) {
            context.set("aws:TokenIssueTime", text);
        }
        context.set("aws:MultiFactorAuthPresent", "false");
        for (key, value) in
            [("aws:SourceIdentity", &session.source_identity), ("aws:FederatedProvider", &session.provider)]
        {
            if let Some(value) = value {
                context.set(key, value.as_str());
            }
        }
    }
}

impl Context {
    /// Sets the condition keys that are about when the request was made.
    pub fn set_time(&mut self, at: SystemTime) {
        if let Some(text) = iso(at) {
            self.set("aws:CurrentTime", text);
        }
        self.set("aws:EpochTime", OffsetDateTime::from(at).unix_timestamp().to_string());
    }

    /// Sets the condition keys that are about the connection, at whose other end is never a service of AWS. One of which
    /// nothing is known is not secure.
    pub fn set_connection(&mut self, peer: Option<&Peer>) {
        let is_secure = peer.is_some_and(|peer| peer.tls_version.is_some());
        self.set("aws:SecureTransport", is_secure.to_string());
        self.set("aws:PrincipalIsAWSService", "false");
        self.set("aws:ViaAWSService", "false");
        if let Some(peer) = peer {
            self.set("aws:SourceIp", peer.address.to_canonical().to_string());
        }
    }
}

/// `2015-10-21T07:28:00Z`.
fn iso(at: SystemTime) -> Option<String> {
    OffsetDateTime::from(at).replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
#[path = "about_tests.rs"]
mod tests;
