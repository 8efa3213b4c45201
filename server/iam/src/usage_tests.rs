use std::time::{SystemTime, UNIX_EPOCH};

use granary_auth::{Account, Service};

use super::*;
use crate::documents::{AccountDocument, KeyDocument, KeyStatus, account_document};

fn key(id: &str) -> KeyDocument {
    KeyDocument { id: id.to_owned(), sealed_secret: String::new(), status: KeyStatus::Active, created_ms: 0 }
}

fn account(keys: &[&str]) -> (String, Option<Document>) {
    let document = AccountDocument {
        quota: crate::documents::AccountQuota::default(),
        id: "111122223333".to_owned(),
        canonical_id: "aa".to_owned(),
        name: "ann".to_owned(),
        display_name: "Ann".to_owned(),
        email: None,
        created_ms: 0,
        keys: keys.iter().map(|id| key(id)).collect(),
        requests_per_s: None,
    };
    (account_document(&document.id), Some(Document::Account(Arc::new(document))))
}

fn state(keys: &[&str]) -> State {
    let own = Account {
        id: "000000000000".to_owned(),
        canonical_id: "00".to_owned(),
        display_name: "own".to_owned(),
        email: None,
    };
    let mut state = State::new(&Arc::new(own));
    let (name, document) = account(keys);
    state.put(&name, document);
    state
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn used(access_key: &str, service: Service, seconds: u64) -> KeyUse<'_> {
    KeyUse { access_key, service, region: "us-east-1", at: at(seconds) }
}

fn last(usage: &Usage, state: &State, key: &str) -> Option<(i64, String)> {
    usage.last(state, key).map(|used| (used.used_ms / 1000, used.service.clone()))
}

#[test]
fn the_last_use_is_noted_of_keys_that_there_are() {
    let (usage, state) = (Usage::default(), state(&["AK1", "AK2"]));
    assert_eq!(last(&usage, &state, "AK1"), None);
    usage.note(&state, &used("AK1", Service::S3, 100));
    usage.note(&state, &used("AK1", Service::S3, 101));
    assert_eq!(last(&usage, &state, "AK1"), Some((100, "s3".to_owned())), "too soon to be noted");
    usage.note(&state, &used("AK1", Service::Iam, 102));
    assert_eq!(last(&usage, &state, "AK1"), Some((102, "iam".to_owned())));
    usage.note(&state, &used("AK1", Service::Iam, 200));
    assert_eq!(last(&usage, &state, "AK1"), Some((200, "iam".to_owned())));
    usage.note(&state, &used("ASIATEMPORARY", Service::S3, 300));
    assert_eq!((last(&usage, &state, "ASIATEMPORARY"), last(&usage, &state, "AK2")), (None, None));
}

#[test]
fn what_is_newer_is_kept_and_what_is_gone_is_not() {
    let (usage, mut state) = (Usage::default(), state(&["AK1", "AK2"]));
    usage.note(&state, &used("AK1", Service::S3, 100));
    usage.note(&state, &used("AK2", Service::S3, 100));
    let changes = usage.changes(&state);
    assert_eq!(changes.len(), 2);
    for (name, document) in changes {
        let bytes = document.unwrap().bytes().unwrap();
        state.put(&name, Some(Document::read(&name, &bytes).unwrap()));
    }
    assert_eq!(usage.changes(&state).len(), 0, "nothing is newer");
    assert_eq!(last(&Usage::default(), &state, "AK1"), Some((100, "s3".to_owned())), "another node knows");
    usage.note(&state, &used("AK1", Service::S3, 500));
    assert_eq!(usage.changes(&state).len(), 1);
    let (name, document) = account(&["AK1"]);
    state.put(&name, document);
    usage.forget(&state);
    let mut names: Vec<_> =
        usage.changes(&state).into_iter().map(|(name, to)| (name, to.is_some())).collect();
    names.sort();
    assert_eq!(names, [("use/AK1".to_owned(), true), ("use/AK2".to_owned(), false)]);
    assert!(usage.last(&state, "AK2").is_some(), "until it is removed with the next change");
}
