//! Tokens of OpenID Connect providers: whose they are, and whether they are true.
//!
//! An account names the providers that its roles may trust, by their issuers' URLs. A token is verified with the keys that its
//! issuer publishes (discovery document and key set, over HTTPS), which are remembered for a while. How documents are
//! fetched is the program's affair ([`IssuerDocuments`]): what an account names must not lead this server anywhere within.
//!
//! Sources: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>,
//! <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{DecodingKey, Validation};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::documents::ProviderDocument;
use crate::error::{Code, IamError, Result};
use crate::jwt;
use crate::marks::Asked;
use crate::marks_of_claims;

/// How far the clock of an issuer may be ahead or behind.
const LEEWAY_S: u64 = 60;
/// The longest token. Source: the API reference of AssumeRoleWithWebIdentity.
const TOKEN_BYTES_MAX: usize = 20_000;
/// How long keys are used before they are fetched again, and how soon they may be when a token names one that is not
/// among them.
const KEYS_LAST: Duration = Duration::from_secs(3_600);
const KEYS_REST: Duration = Duration::from_secs(30);
/// Issuers whose keys are remembered.
const ISSUERS_MAX: usize = 1_000;

/// Fetches what issuers publish.
#[async_trait]
pub trait IssuerDocuments: Send + Sync {
    /// The document at an `https://` URL, a few hundred KiB at most. The error is for the log.
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String>;
}

/// A token that is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) subject: String,
    /// Whom it is for: the client that the provider lists.
    pub(crate) audience: String,
    pub(crate) authorized_party: Option<String>,
    pub(crate) methods: Vec<String>,
    /// The marks that the session is to have.
    pub(crate) asked: Asked,
}

/// One text, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

impl Texts {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Several(texts) => texts,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Claims {
    sub: String,
    aud: Texts,
    azp: Option<String>,
    amr: Option<Vec<String>>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

/// Keys of kinds that are not known here are left out: issuers publish others beside those that sign.
#[derive(Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

struct Known {
    keys: Arc<JwkSet>,
    fetched: Instant,
}

/// The keys of issuers, by URL.
#[derive(Default)]
pub(crate) struct IssuerKeys {
    known: Mutex<HashMap<String, Known>>,
    /// Held while keys are fetched, so that many tokens at once fetch them once.
    fetching: tokio::sync::Mutex<()>,
}

/// The issuer that a token says it is of. Nothing is verified.
///
/// # Errors
/// `InvalidIdentityToken`.
pub(crate) fn issuer_of(token: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(invalid("The token is too long."));
    }
    let claims: Option<Issuer> = token.split('.').nth(1).and_then(|claims| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice(&bytes).ok()
    });
    claims.map(|claims| claims.iss).ok_or_else(|| invalid("The token is no JSON Web Token with an issuer."))
}

/// Verifies a token of a provider.
///
/// # Errors
/// `InvalidIdentityToken`, `ExpiredTokenException`, `IDPCommunicationError`.
pub(crate) async fn verify(
    keys: &IssuerKeys,
    documents: &dyn IssuerDocuments,
    provider: &ProviderDocument,
    token: &str,
) -> Result<Verified> {
    jwt::install();
    let header = jsonwebtoken::decode_header(token).map_err(|error| invalid(&error.to_string()))?;
    if !jwt::ALGORITHMS.contains(&header.alg) {
        return Err(invalid("The token is not signed with RS256, RS384, RS512, ES256 or ES384."));
    }
    let key = keys.find(documents, &provider.url, header.kid.as_deref()).await?;
    let key = DecodingKey::from_jwk(&key).map_err(|error| invalid(&error.to_string()))?;
    let mut validation = Validation::new(header.alg);
    validation.leeway = LEEWAY_S;
    validation.validate_nbf = true;
    // Compared below, as AWS does.
    validation.validate_aud = false;
    validation.set_issuer(&[&provider.url]);
    validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
    let decoded =
        jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::ExpiredSignature => IamError::new(
                Code::ExpiredTokenException,
                "Token expired: the current date must be before its exp.",
            ),
            _ => invalid(&error.to_string()),
        })?;
    let Claims { sub, aud, azp, amr, others } = decoded.claims;
    let listed = |audience: &String| provider.client_ids.contains(audience);
    // Who asked for the token counts, where it names that; otherwise whom it is for.
    let audience = match &azp {
        Some(party) => Some(party.clone()).filter(listed),
        None => aud.into_vec().into_iter().find(listed),
    };
    let audience = audience.ok_or_else(|| invalid("Incorrect token audience"))?;
    let asked = marks_of_claims::asked(&others)?;
    let methods = amr.unwrap_or_default();
    Ok(Verified { subject: sub, audience, authorized_party: azp, methods, asked })
}

impl IssuerKeys {
    /// The key of an issuer with that id; its only one for a token that names none.
    async fn find(&self, documents: &dyn IssuerDocuments, issuer: &str, id: Option<&str>) -> Result<Jwk> {
        let known = self.known(issuer, KEYS_LAST);
        if let Some(key) = known.as_deref().and_then(|keys| pick(keys, id)) {
            return Ok(key);
        }
        let _turn = self.fetching.lock().await;
        // Whoever had the turn before may have fetched them; and tokens with made-up ids make nobody fetch all the time.
        let keys = match self.known(issuer, KEYS_REST) {
            Some(keys) => keys,
            None => self.fetch(documents, issuer).await?,
        };
        pick(&keys, id).ok_or_else(|| invalid("The issuer has no key that this token is signed with."))
    }

    fn known(&self, issuer: &str, lasts: Duration) -> Option<Arc<JwkSet>> {
        let known = self.known.lock();
        let found = known.get(issuer).filter(|known| known.fetched.elapsed() < lasts)?;
        Some(Arc::clone(&found.keys))
    }

    async fn fetch(&self, documents: &dyn IssuerDocuments, issuer: &str) -> Result<Arc<JwkSet>> {
        let failed = |why: String| {
            tracing::warn!(issuer, why, "the keys of an identity provider could not be fetched");
            let message = "Could not communicate with the identity provider, or it answers no keys.";
            IamError::new(Code::IDPCommunicationError, message)
        };
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery = documents.fetch(&url).await.map_err(failed)?;
        let discovery: Discovery =
            serde_json::from_slice(&discovery).map_err(|error| failed(format!("{url}: {error}")))?;
        if discovery.issuer != issuer || !discovery.jwks_uri.starts_with("https://") {
            return Err(failed(format!(
                "{url} is of another issuer, or its keys are not at an https:// URL"
            )));
        }
        let keys = documents.fetch(&discovery.jwks_uri).await.map_err(failed)?;
        let Published { keys } = serde_json::from_slice(&keys).map_err(|error| failed(error.to_string()))?;
        let keys = keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        let keys = Arc::new(JwkSet { keys });
        let mut known = self.known.lock();
        if known.len() >= ISSUERS_MAX {
            known.retain(|_, known| known.fetched.elapsed() < KEYS_REST);
        }
        known.insert(issuer.to_owned(), Known { keys: Arc::clone(&keys), fetched: Instant::now() });
        Ok(keys)
    }
}

fn pick(keys: &JwkSet, id: Option<&str>) -> Option<Jwk> {
    match (id, keys.keys.as_slice()) {
        (Some(id), _) => keys.find(id).cloned(),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    }
}

fn invalid(why: &str) -> IamError {
    IamError::new(Code::InvalidIdentityToken, why)
}

#[cfg(test)]
#[path = "web_identity_tests.rs"]
mod tests;
