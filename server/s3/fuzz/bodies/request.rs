//! Any request head: addressing, routing and the headers and tokens with a syntax of their own never panic, and what
//! they accept is what the bounds allow.
//!
//! Input: one line `METHOD host target`, then `name:value` lines.

use granary_s3::address::{Address, VirtualHostDomains};
use granary_s3::copy_source::CopySourceHeader;
use granary_s3::encoding::{decode, url_encode};
use granary_s3::operation::{Scope, route};
use granary_s3::query::Query;
use granary_s3::range::{RangeSpec, copy_source_range};
use granary_s3::{conditions, dates, token};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

fn head(data: &str) -> Option<(Method, &str, Uri, HeaderMap)> {
    let mut lines = data.split('\n');
    let mut first = lines.next()?.splitn(3, ' ');
    let (method, host, target) = (first.next()?, first.next()?, first.next()?);
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let Some((name, value)) = line.split_once(':') else { continue };
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?);
    }
    Some((method.parse().ok()?, host, target.parse().ok()?, headers))
}

fn text_of(value: &str) {
    let _ = CopySourceHeader::parse(value);
    for length_bytes in [0, 1, 1000, u64::MAX] {
        for range in [
            RangeSpec::parse(value).and_then(|range| range.resolve(length_bytes).ok()),
            copy_source_range(value, length_bytes).ok(),
        ] {
            let Some(range) = range else { continue };
            assert!(range.start < range.end && range.end <= length_bytes);
        }
    }
    assert_eq!(decode(&url_encode(value)).unwrap(), value);
    assert_eq!(token::decode("scope", &token::encode("scope", value)).ok().as_deref(), Some(value));
    assert!(token::decode("other", &token::encode("scope", value)).is_err());
    let _ = token::decode("scope", value);
    let _ = dates::parse_http_date(value);
    let _ = conditions::modified_at("name", value);
}

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    text.split('\n').for_each(text_of);
    let Some((method, host, target, headers)) = head(text) else { return };
    let domains = VirtualHostDomains::new(["s3.example.com".to_owned()]);
    if let Ok(Address::Object(_, key)) = Address::resolve(&domains, host, target.path()) {
        assert!((1..=1024).contains(&key.as_str().len()));
    }
    if let Ok(query) = Query::parse(target.query()) {
        for scope in [Scope::Service, Scope::Bucket, Scope::Object] {
            let _ = route(&method, scope, &query, &headers);
        }
    }
    let _ = conditions::of_write(&headers);
    let _ = conditions::of_delete(&headers);
}
