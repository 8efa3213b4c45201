use super::*;

#[test]
fn encoding_for_listings() {
    assert_eq!(url_encode("a/b c+d&e%f~é*-_."), "a/b%20c%2Bd%26e%25f%7E%C3%A9*-_.");
    assert_eq!(url_encode("\u{1}\n"), "%01%0A");
}

#[test]
fn decoding_happens_once_and_strictly() {
    assert_eq!(decode("a%2Fb%20c+d").as_deref(), Some("a/b c+d"));
    assert_eq!(decode("%2525").as_deref(), Some("%25"));
    for bad in ["%", "%2", "%zz", "a%", "%ff", "%c3%28"] {
        assert_eq!(decode(bad), None, "{bad}");
    }
    assert_eq!(decode_query("a+b%2Bc").as_deref(), Some("a b+c"));
}

proptest::proptest! {
    #[test]
    fn round_trip(text: String) {
        let encoded = url_encode(&text).into_owned();
        let decoded = decode(&encoded).map(Cow::into_owned);
        proptest::prop_assert_eq!(decoded, Some(text));
    }

    #[test]
    fn decoding_never_panics(text: String) {
        let _ = (decode(&text), decode_query(&text));
    }
}
