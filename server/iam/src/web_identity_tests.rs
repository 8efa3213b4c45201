use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://login.example/realms/r";

/// An issuer with one key.
struct Issuer {
    key: EcdsaKeyPair,
    fetched: Mutex<Vec<String>>,
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { key, fetched: Mutex::default() }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn token(&self, change: &Value) -> String {
        self.sign(&json!({ "alg": "ES256", "kid": "k" }), &claims(change))
    }
}

#[async_trait]
impl IssuerDocuments for Issuer {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        self.fetched.lock().push(url.to_owned());
        let point = self.key.public_key().as_ref();
        let part = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        let document = match url.strip_prefix(ISSUER) {
            Some("/.well-known/openid-configuration") => {
                json!({ "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/keys"), "more": 1 })
            }
            Some("/keys") => json!({ "keys": [
                { "kty": "novel", "kid": "n" },
                { "kty": "EC", "crv": "P-256", "kid": "k", "x": part(1), "y": part(33) },
            ]}),
            _ => return Err("404".to_owned()),
        };
        Ok(document.to_string().into_bytes())
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Good claims with some changed; those that are null are left out.
fn claims(change: &Value) -> Value {
    let mut claims =
        json!({ "iss": ISSUER, "sub": "ann", "aud": "app", "exp": now_s() + 300, "iat": now_s() });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn provider() -> ProviderDocument {
    ProviderDocument {
        account: "123456789012".to_owned(),
        url: ISSUER.to_owned(),
        client_ids: vec!["app".to_owned(), "other".to_owned()],
        thumbprints: Vec::new(),
        created_ms: 0,
        tags: Vec::new(),
    }
}

async fn outcome(issuer: &Issuer, token: &str) -> Result<Verified, &'static str> {
    let keys = IssuerKeys::default();
    verify(&keys, issuer, &provider(), token).await.map_err(|error| error.code().as_str())
}

#[tokio::test]
async fn what_the_issuer_signed_is_taken() {
    let issuer = Issuer::new();
    let found = outcome(&issuer, &issuer.token(&json!({ "amr": ["pwd"] }))).await.unwrap();
    assert_eq!((found.subject.as_str(), found.audience.as_str(), found.methods.len()), ("ann", "app", 1));
    let token = issuer.token(&json!({ "aud": ["none", "other"] }));
    assert_eq!(outcome(&issuer, &token).await.unwrap().audience, "other");
    let token = issuer.token(&json!({ "aud": "none", "azp": "app" }));
    let found = outcome(&issuer, &token).await.unwrap();
    assert_eq!((found.audience.as_str(), found.authorized_party.as_deref()), ("app", Some("app")));
    assert_eq!(issuer_of(&token).unwrap(), ISSUER);
    assert_eq!(found.asked, Asked::default());
    let token = issuer.token(&json!({ "https://aws.amazon.com/source_identity": "ann" }));
    let found = outcome(&issuer, &token).await.unwrap();
    assert_eq!(found.asked.source_identity.as_deref(), Some("ann"));
    let token = issuer.token(&json!({ "https://aws.amazon.com/tags": 1 }));
    assert_eq!(outcome(&issuer, &token).await, Err("InvalidIdentityToken"));
}

#[tokio::test]
async fn nothing_else_is() {
    let issuer = Issuer::new();
    for change in [
        json!({ "iss": "https://login.example/realms/s" }),
        json!({ "aud": "none" }),
        json!({ "aud": null }),
        json!({ "azp": "none" }),
        json!({ "sub": null }),
        json!({ "exp": null }),
        json!({ "exp": "later" }),
        json!({ "nbf": now_s() + 3_600 }),
        json!({ "nbf": "earlier" }),
    ] {
        assert_eq!(outcome(&issuer, &issuer.token(&change)).await, Err("InvalidIdentityToken"), "{change}");
    }
    let old = issuer.token(&json!({ "exp": now_s() - 3_600 }));
    assert_eq!(outcome(&issuer, &old).await, Err("ExpiredTokenException"));
    let other = Issuer::new().token(&json!({}));
    assert_eq!(outcome(&issuer, &other).await, Err("InvalidIdentityToken"));
    let good = issuer.token(&json!({}));
    let claims_of_other = issuer.token(&json!({ "sub": "root" }));
    let mixed: Vec<&str> = good.split('.').collect();
    let forged = format!("{}.{}.{}", mixed[0], claims_of_other.split('.').nth(1).unwrap(), mixed[2]);
    assert_eq!(outcome(&issuer, &forged).await, Err("InvalidIdentityToken"));
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256", "kid": "k" }),
        json!({ "alg": "RS256", "kid": "k" }),
        json!({ "alg": "ES384", "kid": "k" }),
        json!({ "alg": "ES256", "kid": "n" }),
        json!({ "alg": "ES256", "kid": "x" }),
    ] {
        let token = issuer.sign(&header, &claims(&json!({})));
        assert_eq!(outcome(&issuer, &token).await, Err("InvalidIdentityToken"), "{header}");
    }
    for text in ["", "a", "a.b.c", "..", &"x".repeat(30_000)] {
        assert!(outcome(&issuer, text).await.is_err() && issuer_of(text).is_err(), "{text:.20}");
    }
}

#[tokio::test]
async fn keys_are_fetched_once_and_not_by_whoever_makes_up_ids() {
    let (issuer, keys) = (Issuer::new(), IssuerKeys::default());
    for _ in 0..3 {
        verify(&keys, &issuer, &provider(), &issuer.token(&json!({}))).await.unwrap();
        let made_up = issuer.sign(&json!({ "alg": "ES256", "kid": "x" }), &claims(&json!({})));
        assert!(verify(&keys, &issuer, &provider(), &made_up).await.is_err());
    }
    assert_eq!(issuer.fetched.lock().len(), 2);
}

#[tokio::test]
async fn an_issuer_that_says_it_is_another_is_not_believed() {
    struct Elsewhere;
    #[async_trait]
    impl IssuerDocuments for Elsewhere {
        async fn fetch(&self, _url: &str) -> Result<Vec<u8>, String> {
            Ok(br#"{"issuer":"https://login.example","jwks_uri":"https://login.example/keys"}"#.to_vec())
        }
    }
    let (issuer, keys) = (Issuer::new(), IssuerKeys::default());
    let error = verify(&keys, &Elsewhere, &provider(), &issuer.token(&json!({}))).await.unwrap_err();
    assert_eq!(error.code(), Code::IDPCommunicationError);
}
