//! Tokens of an identity provider: never a panic, and none is taken that the provider's keys did not sign, nor one that
//! they signed for others, for another time or with another algorithm than its key's.
//!
//! Input: a token as it is. Or, in lines, a header and claims, which are then signed; perhaps a signature to be tried in
//! the place of the right one; and perhaps the document of keys that the provider publishes.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use granary_iam::fuzzing::{Taken, verify_token};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::Value;

const ISSUER: &str = "https://login.example";
const CLIENTS: [&str; 2] = ["app", "web"];
/// The provider's keys. Nobody has the secrets of `p384` and `rsa` any more; that of `p256` is [`OWN`].
const KEYS: &[u8] = include_bytes!("keys.json");
/// What these keys have signed, for longer than anybody will run this.
const SIGNED: [&str; 5] = [
    include_str!("../seeds/web_identity/es256"),
    include_str!("../seeds/web_identity/es384"),
    include_str!("../seeds/web_identity/rs256"),
    include_str!("../seeds/web_identity/rs384"),
    include_str!("../seeds/web_identity/rs512"),
];

/// A header and claims that are good once they are signed.
const GOOD: &str = include_str!("../seeds/web_identity/claims");

/// A key for signing: what each byte of the secret is, and the public point.
struct Pair(u8, &'static str);

const OWN: Pair =
    Pair(1, "BG_wO5SSQc4drdQ1GeaWDgqFtBppoFwygQOqK84VlMoWPE91OlW_AdxT9sCwx-7ni0DG_30lqW4igrmJzvccFEo");
const OTHERS: Pair =
    Pair(2, "BFUPRxAD89-Xw99QaseX9nIfsaH7e49vg9IkSYplyI4kE2CT1wEuUJpzcVy9CwCjzA_0tcAbP_oZarH7MnA2uOY");

impl Pair {
    fn sign(&self, message: &str) -> String {
        let (random, point) = (SystemRandom::new(), URL_SAFE_NO_PAD.decode(self.1).unwrap());
        let method = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key =
            EcdsaKeyPair::from_private_key_and_public_key(method, &[self.0; 32], &point, &random).unwrap();
        URL_SAFE_NO_PAD.encode(key.sign(&random, message.as_bytes()).unwrap())
    }
}

fn verify(token: &str) -> Option<Taken> {
    verify_token(ISSUER, &CLIENTS, KEYS, token)
}

/// What of a token is signed.
fn message(token: &str) -> Option<&str> {
    token.rsplit_once('.').map(|(message, _)| message)
}

fn as_it_is(token: &str) {
    let is_taken = verify(token).is_some();
    let is_signed = SIGNED.iter().any(|signed| message(signed) == message(token));
    assert!(is_signed || !is_taken, "nobody signed {token}");
    assert!(is_taken || !SIGNED.contains(&token), "refused {token}");
}

fn made(header: &str, claims: &str, signature: &str, keys: Option<&str>) {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", encode(header), encode(claims));
    let own = OWN.sign(&message);
    let token = format!("{message}.{own}");
    match verify(&token) {
        Some(taken) => check(header, claims, &taken),
        None => assert_ne!(format!("{header}\n{claims}"), GOOD, "refused"),
    }
    // JSON may end with blanks.
    let other_claims = format!("{}.{}.{own}", encode(header), encode(&format!("{claims} ")));
    let other_header = format!("{}.{}.{own}", encode(&format!("{header} ")), encode(claims));
    let of_others = format!("{message}.{}", OTHERS.sign(&message));
    for forged in [other_claims, other_header, of_others, format!("{message}.{signature}")] {
        assert_eq!(verify(&forged), None, "taken: {forged}");
    }
    if let Some(keys) = keys {
        let _ = verify_token(ISSUER, &CLIENTS, keys.as_bytes(), &token);
    }
}

/// Whether a token that was taken may be.
fn check(header: &str, claims: &str, taken: &Taken) {
    let read = |text| serde_json::from_str::<Value>(text).unwrap();
    let (header, claims) = (read(header), read(claims));
    assert_eq!((&header["alg"], &header["kid"]), (&"ES256".into(), &"p256".into()));
    assert_eq!((&claims["iss"], &claims["sub"]), (&ISSUER.into(), &taken.subject.as_str().into()));
    assert!(CLIENTS.contains(&taken.audience.as_str()), "{taken:?}");
    let named = if claims["azp"].is_null() { &claims["aud"] } else { &claims["azp"] };
    let audience = Value::from(taken.audience.as_str());
    let is_named = *named == audience || named.as_array().is_some_and(|list| list.contains(&audience));
    assert!(is_named, "{taken:?} is none of {named}");
    // A minute is how far clocks may be apart; a second is for this to run in.
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(claims["exp"].as_f64().unwrap() + 62.0 > now_s, "expired: {claims}");
    assert!(claims["nbf"].as_f64().is_none_or(|from_s| from_s - 62.0 < now_s), "not yet: {claims}");
}

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    match (lines.next().unwrap_or_default(), lines.next()) {
        (token, None) => as_it_is(token),
        (header, Some(claims)) => {
            made(header, claims, lines.next().unwrap_or_default(), lines.next());
        }
    }
}
