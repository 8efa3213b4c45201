//! From an access key to whom it acts for.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use granary_auth::policy::{Policy, PolicyKind};
use granary_auth::{
    Account, Identity, IdentityKind, KnownKey, Principal, RateLimit, SecretKey, Session, TokenError,
};

use crate::documents::{Document, Grants, KeyDocument, KeyStatus, Kind, UserDocument};
use crate::state::{Found, State};
use crate::token::{Link, Subject, Token};
use crate::vault::Purpose;

/// How many keys and tokens are remembered.
const KNOWN_MAX: usize = 100_000;

impl State {
    /// The secret and principal of a long-term key that is active.
    pub(crate) fn known_key(&self, access_key: &str) -> Option<KnownKey> {
        if let Some(Found::Key(known)) = self.known.lock().get(access_key) {
            return Some(known.clone());
        }
        let owner = self.owner_of_key(access_key)?;
        let keys = match owner {
            Document::Account(account) => &account.keys,
            Document::User(user) => &user.keys,
            _ => return None,
        };
        let key = keys.iter().find(|key| key.id == access_key)?;
        if key.status != KeyStatus::Active {
            return None;
        }
        let identity = match owner {
            Document::Account(account) => {
                let root = self.root_identity(self.account(&account.id)?, access_key, None);
                Identity { rate: rate(&root.arn, account.requests_per_s), ..root }
            }
            Document::User(user) => self.user_identity(user, access_key, None)?,
            _ => return None,
        };
        let known = KnownKey { secret: self.secret(key)?, principal: Principal::User(Arc::new(identity)) };
        self.remember(access_key, Found::Key(known.clone()));
        Some(known)
    }

    /// The secret and principal of temporary credentials.
    pub(crate) fn known_session(
        &self,
        access_key: &str,
        text: &str,
        now: SystemTime,
        store_root: &str,
    ) -> Result<KnownKey, TokenError> {
        let now_s = now.duration_since(UNIX_EPOCH).map_err(|_| TokenError::Invalid)?.as_secs();
        let now_s = i64::try_from(now_s).map_err(|_| TokenError::Invalid)?;
        if let Some(Found::Session { token, expires_s, key }) = self.known.lock().get(access_key)
            && **token == *text
        {
            return if now_s < *expires_s { Ok(key.clone()) } else { Err(TokenError::Expired) };
        }
        let vault = self.vault.as_ref().ok_or(TokenError::Invalid)?;
        let token = Token::open(vault, text).ok_or(TokenError::Invalid)?;
        if token.access_key != access_key {
            return Err(TokenError::Invalid);
        }
        if now_s >= token.expires_s {
            return Err(TokenError::Expired);
        }
        // A session is no more than the key, or the identity provider, that it was made with: it ends with it.
        let is_there = token.parent == store_root
            || self.known_key(&token.parent).is_some()
            || self.has_provider(&token.parent);
        if !is_there {
            return Err(TokenError::Invalid);
        }
        let identity = self.session_identity(&token).ok_or(TokenError::Invalid)?;
        // A session sends on the account of whoever began it: nobody gets further by making sessions.
        let identity = Identity { rate: self.rate_of(&token.parent), ..identity };
        let secret = SecretKey::new(token.secret.as_str());
        let key = KnownKey { secret, principal: Principal::User(Arc::new(identity)) };
        let found = Found::Session { token: text.into(), expires_s: token.expires_s, key: key.clone() };
        self.remember(access_key, found);
        Ok(key)
    }

    fn rate_of(&self, access_key: &str) -> Option<RateLimit> {
        match self.known_key(access_key)?.principal {
            Principal::User(identity) => identity.rate.clone(),
            Principal::Root { .. } | Principal::Anonymous => None,
        }
    }

    fn remember(&self, access_key: &str, found: Found) {
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(access_key.to_owned(), found);
    }

    fn secret(&self, key: &KeyDocument) -> Option<SecretKey> {
        let opened = self.vault.as_ref()?.open(Purpose::Secret(&key.id), &key.sealed_secret);
        let text = opened.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        if text.is_none() {
            tracing::error!(access_key = key.id, "the secret of an access key cannot be opened");
        }
        text.map(SecretKey::new)
    }

    fn root_identity(&self, account: &Arc<Account>, access_key: &str, session: Option<Session>) -> Identity {
        Identity {
            account: Arc::clone(account),
            kind: IdentityKind::AccountRoot,
            arn: format!("arn:aws:iam::{}:root", account.id),
            role_arn: None,
            user_id: account.id.clone(),
            path: "/".to_owned(),
            name: String::new(),
            access_key: access_key.into(),
            policies: Vec::new(),
            boundary: None,
            tags: Vec::new(),
            session,
            rate: None,
        }
    }

    fn user_identity(
        &self,
        user: &UserDocument,
        access_key: &str,
        session: Option<Session>,
    ) -> Option<Identity> {
        let account = self.account(&user.head.account)?;
        let mut policies = self.policies_in(&account.id, &user.grants)?;
        let groups: Vec<_> =
            self.groups(&account.id).filter(|group| user.groups.contains(&group.head.id)).collect();
        if groups.len() != user.groups.len() {
            tracing::error!(user = user.head.name, "a group of a user cannot be read");
            return None;
        }
        for group in groups {
            policies.extend(self.policies_in(&account.id, &group.grants)?);
        }
        Some(Identity {
            account: Arc::clone(account),
            kind: IdentityKind::User,
            arn: user.head.arn(Kind::User),
            role_arn: None,
            user_id: user.head.id.clone(),
            path: user.head.path.clone(),
            name: user.head.name.clone(),
            access_key: access_key.into(),
            policies,
            boundary: self.boundary(&account.id, user.boundary.as_deref())?,
            tags: user.tags.clone(),
            session,
            rate: rate(&user.head.arn(Kind::User), user.requests_per_s),
        })
    }

    fn role_identity(&self, id: &str, name: &str, token: &Token) -> Option<Identity> {
        let role = self.roles(&token.account).find(|role| role.head.id == id)?;
        let account = self.account(&role.head.account)?;
        Some(Identity {
            account: Arc::clone(account),
            kind: IdentityKind::AssumedRole,
            arn: format!("arn:aws:sts::{}:assumed-role/{}/{name}", account.id, role.head.name),
            role_arn: Some(role.head.arn(Kind::Role)),
            user_id: format!("{}:{name}", role.head.id),
            path: role.head.path.clone(),
            name: role.head.name.clone(),
            access_key: token.access_key.as_str().into(),
            policies: self.policies_in(&account.id, &role.grants)?,
            boundary: self.boundary(&account.id, role.boundary.as_deref())?,
            tags: token.subject.marks().over(&role.tags),
            session: Some(self.session(token)?),
            rate: None,
        })
    }

    /// Who a token acts for, as long as it is the same user or role that it was made for.
    fn session_identity(&self, token: &Token) -> Option<Identity> {
        let key = &token.access_key;
        match &token.subject {
            Subject::Root => {
                Some(self.root_identity(self.account(&token.account)?, key, Some(self.session(token)?)))
            }
            Subject::User { id } => {
                let user = self.users(&token.account).find(|user| user.head.id == *id)?;
                self.user_identity(user, key, Some(self.session(token)?))
            }
            Subject::Role { id, session } | Subject::MarkedRole { id, session, .. } => {
                self.role_identity(id, session, token)
            }
        }
    }

    fn session(&self, token: &Token) -> Option<Session> {
        let at = |unix_s: i64| UNIX_EPOCH + Duration::from_secs(unix_s.unsigned_abs());
        let marks = token.subject.marks();
        let inline = token.policy.iter().map(|text| parsed(text.as_bytes()));
        let is_federated = token.link == Link::First && self.has_provider(&token.parent);
        let named = token.policy_arns.iter().map(|arn| self.policy_by_arn(&token.account, arn));
        Some(Session {
            issued_at: at(token.issued_s),
            expires_at: at(token.expires_s),
            parent: token.parent.clone(),
            policies: inline.chain(named).collect::<Option<_>>()?,
            transitive_tags: marks.transitive_tags.clone(),
            source_identity: marks.source_identity.clone(),
            provider: is_federated.then(|| token.parent.clone()),
        })
    }

    /// The policies of a user, group or role. One that cannot be read may have denied something, so nothing stands for it
    /// and whoever has it cannot act.
    fn policies_in(&self, account: &str, grants: &Grants) -> Option<Vec<Arc<Policy>>> {
        let inline = grants.inline.values().map(|text| parsed(text.as_bytes()));
        inline.chain(grants.attached.iter().map(|arn| self.policy_by_arn(account, arn))).collect()
    }

    fn boundary(&self, account: &str, arn: Option<&str>) -> Option<Option<Arc<Policy>>> {
        arn.map_or(Some(None), |arn| self.policy_by_arn(account, arn).map(Some))
    }

    fn policy_by_arn(&self, account: &str, arn: &str) -> Option<Arc<Policy>> {
        match self.policy_text(account, arn) {
            Ok(text) => parsed(text.as_bytes()),
            Err(error) => {
                tracing::error!(arn, %error, "an attached policy cannot be found");
                None
            }
        }
    }
}

/// What a user may send, who is counted by its ARN.
fn rate(arn: &str, requests_per_s: Option<NonZeroU32>) -> Option<RateLimit> {
    Some(RateLimit { subject: arn.into(), requests_per_s: requests_per_s? })
}

fn parsed(text: &[u8]) -> Option<Arc<Policy>> {
    let policy = Policy::parse(text, PolicyKind::Identity);
    policy.inspect_err(|error| tracing::error!(%error, "a stored policy cannot be read")).ok().map(Arc::new)
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
