//! Identities: documents that are changed together, each change from the state it was decided from.

use super::Harness;
use crate::model::{IdentityChange, IdentityDocument};
use crate::store::MetadataStore;

fn put(name: &str, text: Option<&str>) -> IdentityDocument {
    IdentityDocument { name: name.to_owned(), document: text.map(|text| text.as_bytes().to_vec()) }
}

async fn change(store: &dyn MetadataStore, expected: u64, documents: &[IdentityDocument]) -> bool {
    store.change_identities(IdentityChange { expected, documents: documents.to_vec() }).await.unwrap()
}

/// A change is made whole, from the newest state only; documents are listed by name in pages.
pub async fn changes_follow_each_other(store: &dyn MetadataStore) {
    let start = store.identity_generation().await.unwrap();
    let all = [put("account/1", Some("a")), put("user/1/b", Some("b")), put("user/1/a", Some("c"))];
    assert!(change(store, start, &all).await);
    assert_eq!(store.identity_generation().await.unwrap(), start + 1);
    assert!(!change(store, start, &[put("user/1/z", Some("z"))]).await);
    assert!(!change(store, start + 2, &[put("user/1/z", Some("z"))]).await);
    let list = async |after: &str, limit| store.identities(after, limit).await.unwrap();
    assert_eq!(list("", 10).await, [all[0].clone(), all[2].clone(), all[1].clone()]);
    assert_eq!(list("", 2).await, [all[0].clone(), all[2].clone()]);
    assert_eq!(list("user/1/a", 2).await, [all[1].clone()]);
    let next = [put("user/1/a", None), put("user/1/b", Some("")), put("user/none", None)];
    assert!(change(store, start + 1, &next).await);
    assert_eq!(list("", 10).await, [all[0].clone(), put("user/1/b", Some(""))]);
    assert!(change(store, start + 2, &[]).await);
    assert_eq!(store.identity_generation().await.unwrap(), start + 3);
}

/// Of changes that were decided from the same state, one is made.
pub async fn one_of_many_changes_wins(harness: &mut dyn Harness) {
    let store = harness.store();
    let start = store.identity_generation().await.unwrap();
    let racers = (0..8).map(|n| {
        let store = harness.store();
        tokio::spawn(async move { change(&*store, start, &[put("role/x", Some(&n.to_string()))]).await })
    });
    let mut won = Vec::new();
    for (n, racer) in racers.collect::<Vec<_>>().into_iter().enumerate() {
        if racer.await.unwrap() {
            won.push(n.to_string());
        }
    }
    assert_eq!(won.len(), 1);
    harness.restart().await;
    let found = harness.store().identities("", 10).await.unwrap();
    assert_eq!(found, [put("role/x", Some(&won[0]))]);
    assert_eq!(harness.store().identity_generation().await.unwrap(), start + 1);
}
