use super::*;
use crate::error::ErrorCode;

#[test]
fn an_override_that_no_header_can_carry_was_dropped_or_sent_as_utf8() {
    assert_eq!(override_value("response-expires", "caf\u{e9}").unwrap().as_bytes(), b"caf\xe9");
    for bad in ["a\r\nx: y", "\u{65e5}", "\0"] {
        let error = override_value("response-expires", bad).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert_eq!(error.fields()[0], ("ArgumentName", "response-expires".to_owned()));
    }
}
