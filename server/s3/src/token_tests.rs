use super::*;

#[test]
fn tokens_are_bound_to_their_listing_and_unchanged() {
    let token = encode("bucket", "a/ключ");
    assert_eq!(decode("bucket", &token).unwrap(), "a/ключ");
    assert!(decode("other", &token).is_err());
    for bad in ["", "x", "AAAA", "a b", &token[1..], &token[..token.len() - 2]] {
        assert!(decode("bucket", bad).is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn round_trip(after: String) {
        proptest::prop_assert_eq!(decode("b", &encode("b", &after)).unwrap(), after);
    }

    #[test]
    fn never_panics(token: String) {
        let _ = decode("b", &token);
    }
}
