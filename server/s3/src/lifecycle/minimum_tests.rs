use http::HeaderValue;

use super::*;
use crate::error::ErrorCode;

fn sent(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(HEADER), HeaderValue::from_static(value))])
}

#[test]
fn a_request_goes_before_the_default() {
    use TransitionMinimum::{AllClasses128K, VariesByClass};
    let nothing = HeaderMap::new();
    assert_eq!(minimum(&nothing, VariesByClass).unwrap(), VariesByClass);
    assert_eq!(minimum(&nothing, AllClasses128K).unwrap(), AllClasses128K);
    for (one, other) in [(AllClasses128K, VariesByClass), (VariesByClass, AllClasses128K)] {
        assert_eq!(minimum(&sent(one.as_str()), other).unwrap(), one);
        assert_eq!(one.as_str().parse::<TransitionMinimum>(), Ok(one));
    }
    let refused = minimum(&sent("128K"), VariesByClass).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidRequest);
}

#[test]
fn what_was_kept_without_one_has_that_of_aws() {
    let mut headers = HeaderMap::new();
    show_minimum(&mut headers, None);
    assert_eq!(headers[HEADER], "all_storage_classes_128K");
    show_minimum(&mut headers, Some("varies_by_storage_class"));
    assert_eq!(headers[HEADER], "varies_by_storage_class");
}
