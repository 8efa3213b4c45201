//! Two nodes over one store: what one changes, the other decides by.
#![allow(clippy::unwrap_used, clippy::panic)] // A test that panics has failed.

use granary_auth::{Account, CredentialSource, Credentials, Directory, SecretKey};
use granary_engine::{Engine, EngineOptions};
use granary_iam::{AccountDetails, Code, IdentityStore, KeyStatus, NewKey, NewUser, Root, UserName};

/// A store without any node.
struct Store {
    engine: Engine,
    _dir: tempfile::TempDir,
}

impl Store {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(EngineOptions::new(vec![dir.path().join("d1")])).await.unwrap();
        Self { engine, _dir: dir }
    }

    async fn node(&self, secret: &str, previous: Option<&str>) -> granary_iam::Result<IdentityStore> {
        let own = Account {
            id: "000000000000".to_owned(),
            canonical_id: "0".repeat(64),
            display_name: "own".to_owned(),
            email: None,
        };
        let previous_secret = previous.map(SecretKey::new);
        let root = Root { credentials: Credentials::new("ROOTKEY", secret), previous_secret };
        IdentityStore::open(self.engine.clone(), root, own).await
    }
}

fn user(name: &str, key: &str) -> NewUser {
    let key = NewKey { access_key: key.to_owned(), secret: "swordfish".to_owned().into() };
    let details = AccountDetails { email: Some(format!("{name}@example.com")), ..AccountDetails::default() };
    NewUser { name: name.to_owned(), account: None, key: Some(key), details }
}

fn secret(node: &IdentityStore, key: &str) -> Option<String> {
    node.secret_for(key).map(|known| known.secret.expose().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_key_is_disabled_on_every_node_that_asked_since() {
    let store = Store::open().await;
    let one = store.node("root-secret", None).await.unwrap();
    let two = store.node("root-secret", None).await.unwrap();
    one.add_user(&user("ann", "AKANN")).await.unwrap();
    assert_eq!(secret(&one, "AKANN").as_deref(), Some("swordfish"));
    assert_eq!(secret(&two, "AKANN"), None);
    two.refresh().await.unwrap();
    assert_eq!(secret(&two, "AKANN").as_deref(), Some("swordfish"));
    let account = two.by_email("ANN@example.com").unwrap();
    assert_eq!(two.by_canonical_id(&account.canonical_id), two.by_id(&account.id));
    one.set_key("AKANN", Some(KeyStatus::Inactive)).await.unwrap();
    assert_eq!(secret(&one, "AKANN"), None);
    two.refresh().await.unwrap();
    assert_eq!(secret(&two, "AKANN"), None);
    two.set_key("AKANN", None).await.unwrap();
    let user = UserName { account: None, name: "ann".to_owned() };
    assert_eq!(two.find_user(&user).unwrap().keys, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_nodes_that_know_nothing_of_each_other_one_takes_a_name_or_a_key() {
    let store = Store::open().await;
    let one = store.node("root-secret", None).await.unwrap();
    let two = store.node("root-secret", None).await.unwrap();
    let (first, second) = (user("ann", "AK1"), user("ann", "AK2"));
    let (made, also) = tokio::join!(one.add_user(&first), two.add_user(&second));
    let taken = if made.is_ok() { "AK1" } else { "AK2" };
    let refused = made.err().or(also.err()).unwrap();
    assert_eq!(refused.code(), Code::EntityAlreadyExists);
    // Its secret is readable everywhere, whoever made the key that seals.
    for node in [&one, &two] {
        node.refresh().await.unwrap();
        assert_eq!(secret(node, taken).as_deref(), Some("swordfish"));
    }
    for key in [taken, "ROOTKEY"] {
        let refused = two.add_user(&user("bob", key)).await.unwrap_err();
        assert_eq!(refused.code(), Code::EntityAlreadyExists);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_root_secret_is_believed_with_the_one_before() {
    let store = Store::open().await;
    let old = store.node("root-secret", None).await.unwrap();
    old.add_user(&user("ann", "AKANN")).await.unwrap();
    assert!(store.node("new-secret", None).await.is_err());
    assert!(store.node("new-secret", Some("wrong-secret")).await.is_err());
    let new = store.node("new-secret", Some("root-secret")).await.unwrap();
    assert_eq!(secret(&new, "AKANN").as_deref(), Some("swordfish"));
    // A node that still runs with the old secret goes on.
    old.refresh().await.unwrap();
    old.add_user(&user("bob", "AKBOB")).await.unwrap();
    let restarted = store.node("new-secret", None).await.unwrap();
    assert_eq!(secret(&restarted, "AKBOB").as_deref(), Some("swordfish"));
}
