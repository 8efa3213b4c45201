use std::fmt::Write as _;

use granary_tests::raw;

use crate::{Target, assert_refused};

#[tokio::test]
async fn absurd_headers_are_refused() {
    let target = Target::start().await;
    let host = target.server.host();
    let one_long = format!("GET / HTTP/1.1\r\nhost: {host}\r\nx-long: {}\r\n\r\n", "a".repeat(1 << 20));
    let mut many = format!("GET / HTTP/1.1\r\nhost: {host}\r\n");
    for number in 0..20_000 {
        let _ = write!(many, "x-{number}: y\r\n");
    }
    many.push_str("\r\n");
    let long_target = format!("GET /{} HTTP/1.1\r\nhost: {host}\r\n\r\n", "a".repeat(1 << 20));
    let endless = "a".repeat(1 << 20);
    for (what, bytes) in [("one", one_long), ("many", many), ("target", long_target), ("no end", endless)] {
        // Closing without an answer is a refusal too.
        if let Ok(response) = raw::send_bytes(&host, bytes.as_bytes(), false).await {
            assert!((400..500).contains(&response.status), "{what}: {}", response.status);
        }
    }
    for (version, status) in [("1.1", 400), ("1.0", 403)] {
        let no_host = format!("GET /hostile/k HTTP/{version}\r\n\r\n");
        let response = raw::send_bytes(&host, no_host.as_bytes(), false).await.unwrap();
        assert_eq!(response.status, status, "HTTP/{version} without a host");
    }
    for garbage in [
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}",
        "PRI * HTTP/2.0\r\n\r\nXX",
    ] {
        let _ = tokio::time::timeout(
            std::time::Duration::from_millis(300),
            raw::send_bytes(&host, garbage.as_bytes(), false),
        )
        .await;
    }
    let metadata = target.signed(target.put("k").header("x-amz-meta-big", &"m".repeat(2100)), b"x").await;
    assert_refused("over 2 KiB of metadata", &metadata, 400, "MetadataTooLarge");
    let class = target.signed(target.put("k").header("x-amz-storage-class", "NO_SUCH_CLASS"), b"x").await;
    assert_refused("an unknown storage class", &class, 400, "InvalidStorageClass");
    let method = target.signed(target.request("BREW", "/hostile/k"), b"").await;
    assert_eq!(method.status, 405);
    target.assert_unharmed().await;
}

/// What the store does not do, it says; it does not drop the wish silently.
#[tokio::test]
async fn unsupported_features_are_named_as_such() {
    let target = Target::start().await;
    for query in ["abac", "session", "metadataConfiguration"] {
        let response = target.signed(target.request("GET", "/hostile").query(query, ""), b"").await;
        assert_eq!(response.status, 501, "?{query}");
    }
    let sse = target.put("k").header("x-amz-server-side-encryption-customer-algorithm", "AES256");
    let response = target.signed(sse, b"x").await;
    assert_eq!(response.status, 400, "encryption with a customer's key, without the key");
    target.assert_unharmed().await;
}
