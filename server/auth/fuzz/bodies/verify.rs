//! Any request head: verification, of version 4 and of version 2, neither panics nor accepts it. The secret is not in the
//! corpus.
//!
//! Input: one line with the target, then `name:value` lines.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use granary_auth::{Credentials, Principal, RegionPolicy, StaticCredentials, Verifier};
use http::Request;

pub(crate) fn run(data: &[u8]) {
    let mut lines = data.split(|&b| b == b'\n');
    let Some(target) = lines.next() else { return };
    let mut builder = Request::builder().uri(target);
    for line in lines.take(64) {
        let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
        builder = builder.header(&line[..colon], &line[colon + 1..]);
    }
    let Ok(request) = builder.body(()) else { return };
    let (parts, ()) = request.into_parts();
    let source = StaticCredentials::root(Credentials::new("AKIAIOSFODNN7EXAMPLE", "not in the corpus"));
    let verifier = Verifier::new(Arc::new(source), RegionPolicy::Any);
    let now = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
    if let Ok(verified) = verifier.verify(&parts, now) {
        assert_eq!(verified.principal, Principal::Anonymous);
    }
    assert!(verifier.verify_v2(&parts, Some("bucket"), now).is_err());
}
