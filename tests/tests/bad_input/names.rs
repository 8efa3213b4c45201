use std::collections::BTreeSet;
use std::path::Path;

use granary_tests::census::files_below;
use granary_tests::raw;
use granary_tests::signer::UNSIGNED_PAYLOAD;
use time::OffsetDateTime;

use crate::{BUCKET, Target, assert_refused};

const TRICKS: [&str; 10] = [
    "../../../../tmp/granary-escaped",
    "..",
    "a/../../b",
    "/absolute",
    "//double",
    "./.",
    "nul\u{0}byte",
    "new\nline\r\n",
    "%2e%2e%2fencoded-twice",
    "back\\slash\\..\\..",
];

/// Tricky keys are just names: stored and read back as they are, and no file appears because of them.
#[tokio::test]
async fn path_tricks_in_keys_stay_names() {
    let target = Target::start().await;
    let outside_before = files_outside_drives(target.server.dir());
    for key in TRICKS {
        let stored = target.signed(target.put(key), key.as_bytes()).await;
        assert_eq!(stored.status, 200, "{key:?}: {}", String::from_utf8_lossy(&stored.body));
        let got = target.signed(target.request("GET", &format!("/{BUCKET}/{key}")), b"").await;
        assert_eq!(got.body, key.as_bytes(), "{key:?}");
    }
    assert!(!Path::new("/tmp/granary-escaped").exists());
    assert_eq!(files_outside_drives(target.server.dir()), outside_before);
    for key in TRICKS {
        target.signed(target.request("DELETE", &format!("/{BUCKET}/{key}")), b"").await;
    }
    target.assert_unharmed().await;
}

fn files_outside_drives(dir: &Path) -> BTreeSet<std::path::PathBuf> {
    let files = files_below(dir).unwrap().into_iter();
    files.filter(|path| !path.starts_with(dir.join("d1")) && !path.starts_with(dir.join("d2"))).collect()
}

#[tokio::test]
async fn impossible_names_are_refused() {
    let target = Target::start().await;
    let response = target.signed(target.put(&"k".repeat(1025)), b"x").await;
    assert_refused("a long key", &response, 400, "KeyTooLongError");
    assert_eq!(target.signed(target.put(&"é".repeat(512)), b"x").await.status, 200, "1,024 bytes of UTF-8");
    let longest = format!("/{BUCKET}/{}", "é".repeat(512));
    assert_eq!(target.signed(target.request("DELETE", &longest), b"").await.status, 204);

    for bucket in ["ab", "UPPER", "has_underscore", "a..b", "-dash", "192.168.1.1", "xn--x", &"b".repeat(64)]
    {
        let response = target.signed(target.request("PUT", &format!("/{bucket}")), b"").await;
        assert_refused(bucket, &response, 400, "InvalidBucketName");
    }
    for upload in ["../../x", "", "AAAA", &"f".repeat(5000)] {
        let request = target.put("k").query("uploadId", upload).query("partNumber", "1");
        let response = target.signed(request, b"x").await;
        assert!(matches!(response.status, 400 | 404), "upload id {upload:.20?}: {}", response.status);
    }
    for number in ["0", "-1", "10001", "x", "99999999999"] {
        let request = target.put("k").query("uploadId", "x").query("partNumber", number);
        let response = target.signed(request, b"x").await;
        assert!(matches!(response.status, 400 | 404), "part number {number}: {}", response.status);
    }
    target.assert_unharmed().await;
}

#[tokio::test]
async fn broken_request_targets_are_refused() {
    let target = Target::start().await;
    let host = target.server.host();
    let mut request = target.put("k");
    target.signer.sign(&mut request, UNSIGNED_PAYLOAD, OffsetDateTime::now_utc());
    let head = String::from_utf8(raw::head_of(&request)).unwrap();
    for broken in ["/hostile/%FF%FE", "/hostile/%", "/hostile/%zz", "/hostile/%C3", "/%00", "*", "relative"] {
        let head = head.replacen(&request.target(), broken, 1);
        let head = head.replacen("\r\n\r\n", "\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx", 1);
        let response = raw::send_bytes(&host, head.as_bytes(), false).await.unwrap();
        assert!(matches!(response.status, 400 | 403 | 404), "{broken}: {}", response.status);
    }
    target.assert_unharmed().await;
}
