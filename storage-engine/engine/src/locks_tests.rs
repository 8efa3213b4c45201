use super::*;

#[test]
fn an_upload_keeps_its_locks_and_loses_none_that_it_cannot_read() {
    let retention = Some(Retention { mode: LockMode::Compliance, until: UnixMillis(1_900_000_000_123) });
    for lock in [
        ObjectLock::default(),
        ObjectLock { retention, legal_hold: LegalHold::On },
        ObjectLock { retention, legal_hold: LegalHold::Off },
        ObjectLock { retention: None, legal_hold: LegalHold::On },
    ] {
        let before = Attributes { headers: vec![("expires".into(), "x".into())], ..Attributes::default() };
        let mut attributes = before.clone();
        keep_upload_lock(&mut attributes, lock);
        assert_eq!(take_upload_lock(&mut attributes).ok(), Some(lock));
        assert_eq!(attributes, before);
    }
    for unreadable in [(UPLOAD_COMPLIANCE, "soon"), ("lock:eternal", "1")] {
        let headers = vec![(unreadable.0.to_owned(), unreadable.1.to_owned())];
        assert!(take_upload_lock(&mut Attributes { headers, ..Attributes::default() }).is_err());
    }
}
