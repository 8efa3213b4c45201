use granary_types::UnixMillis;

use super::*;
use crate::keyring::{DEFAULT_KMS_KEY, Keys};

fn ring() -> KeyRing {
    KeyRing::new(Keys::generate(UnixMillis(1)).unwrap())
}

#[test]
fn a_data_key_comes_back_and_is_another_one_each_time() {
    let ring = ring();
    let (seal, key) = ring.seal_managed().unwrap();
    assert_eq!(ring.open(&seal).unwrap().0.bytes(), key.0.bytes());
    let (other, other_key) = ring.seal_managed().unwrap();
    assert_ne!(other.envelope, seal.envelope);
    assert_ne!(other_key.0.bytes(), key.0.bytes());
    assert!(
        !seal.envelope.sealed.windows(8).any(|part| key.0.bytes().windows(8).any(|secret| secret == part))
    );
}

#[test]
fn a_changed_record_does_not_open() {
    let ring = ring();
    let context = Some("e30=".to_owned());
    let (seal, _) = ring.seal_kms(DEFAULT_KMS_KEY, BucketKeys::Disabled, context).unwrap();
    assert!(ring.open(&seal).is_ok());
    let SealedWith::Kms { master, key, bucket_keys, .. } = seal.with.clone() else { panic!() };
    for with in [
        SealedWith::Managed { master },
        SealedWith::Customer,
        SealedWith::Kms { master, key: key.clone(), bucket_keys, context: None },
        SealedWith::Kms { master, key: "other".to_owned(), bucket_keys, context: Some("e30=".to_owned()) },
    ] {
        let changed = Seal { with, ..seal.clone() };
        assert!(matches!(ring.open(&changed), Err(KeyError::DoesNotFit)));
    }
    for at in 0..seal.envelope.sealed.len() {
        let mut changed = seal.clone();
        changed.envelope.sealed[at] ^= 1;
        assert!(matches!(ring.open(&changed), Err(KeyError::DoesNotFit)));
    }
}

#[test]
fn only_the_same_customer_key_fits() {
    let key = CustomerKey::from_slice(&[7; 32]).unwrap();
    let (seal, data) = key.seal().unwrap();
    assert_eq!(key.open(&seal).unwrap().0.bytes(), data.0.bytes());
    let other = CustomerKey::from_slice(&[8; 32]).unwrap();
    assert!(matches!(other.open(&seal), Err(KeyError::DoesNotFit)));
    assert!(matches!(ring().open(&seal), Err(KeyError::DoesNotFit)));
    assert!(CustomerKey::from_slice(&[7; 31]).is_none());
}

#[test]
fn fingerprints_tell_the_same_under_the_same_key_alone() {
    let (_, key) = ring().seal_managed().unwrap();
    let (_, other) = ring().seal_managed().unwrap();
    assert_eq!(key.fingerprint(b"a").unwrap(), key.fingerprint(b"a").unwrap());
    assert_ne!(key.fingerprint(b"a").unwrap(), key.fingerprint(b"b").unwrap());
    assert_ne!(key.fingerprint(b"a").unwrap(), other.fingerprint(b"a").unwrap());
}

#[test]
fn keys_do_not_show_themselves() {
    let key = CustomerKey::from_slice(b"0123456789abcdef0123456789abcdef").unwrap();
    let (_, data) = key.seal().unwrap();
    let keys = Keys::generate(UnixMillis(1)).unwrap();
    let shown = format!("{key:?} {data:?} {:?} {keys:?}", KeyRing::new(keys.clone()));
    assert!(!shown.contains("0123") && !shown.contains("48, 49"));
    let text = String::from_utf8(keys.to_text().unwrap().to_vec()).unwrap();
    let secret = text.split("\"secret\": \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(!shown.contains(secret));
}
