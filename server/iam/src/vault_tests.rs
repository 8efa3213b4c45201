use granary_auth::SecretKey;

use super::{Purpose, Vault};

#[test]
fn sealed_texts_open_for_their_purpose_only() {
    let vault = Vault::generate().unwrap();
    let sealed = vault.seal(Purpose::Secret("AKIA1"), b"swordfish").unwrap();
    assert!(!sealed.contains("swordfish"));
    assert_eq!(vault.open(Purpose::Secret("AKIA1"), &sealed).unwrap().as_slice(), b"swordfish");
    assert!(vault.open(Purpose::Secret("AKIA2"), &sealed).is_none());
    assert!(vault.open(Purpose::Token, &sealed).is_none());
    assert!(Vault::generate().unwrap().open(Purpose::Secret("AKIA1"), &sealed).is_none());
    assert_ne!(vault.seal(Purpose::Secret("AKIA1"), b"swordfish").unwrap(), sealed);
}

#[test]
fn no_changed_text_opens() {
    let vault = Vault::generate().unwrap();
    let sealed = vault.seal(Purpose::Token, b"content").unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(vault.open(Purpose::Token, std::str::from_utf8(&changed).unwrap()).is_none(), "{at}");
        assert!(vault.open(Purpose::Token, &sealed[..at]).is_none(), "{at}");
    }
}

#[test]
fn the_vault_opens_with_its_root_secret() {
    let (vault, root) = (Vault::generate().unwrap(), SecretKey::new("root-secret"));
    let sealed = vault.seal(Purpose::Token, b"x").unwrap();
    let wrapped = vault.wrap(&root).unwrap();
    let opened = Vault::unwrap(&wrapped, &root).unwrap().unwrap();
    assert_eq!(opened.open(Purpose::Token, &sealed).unwrap().as_slice(), b"x");
    assert!(Vault::unwrap(&wrapped, &SecretKey::new("other-secret")).unwrap().is_none());
    assert_eq!(format!("{vault:?}"), "Vault(redacted)");
}
