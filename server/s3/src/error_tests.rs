use super::*;

#[test]
fn every_code_is_found_by_its_name_and_has_an_error_status() {
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
        let status = code.status();
        assert!(status.is_client_error() || status.is_server_error() || status == StatusCode::NOT_MODIFIED);
    }
}

#[test]
fn statuses_are_those_aws_documents() {
    for (code, status) in [
        (ErrorCode::NoSuchKey, 404),
        (ErrorCode::InvalidRange, 416),
        (ErrorCode::PreconditionFailed, 412),
        (ErrorCode::MissingContentLength, 411),
        (ErrorCode::BucketNotEmpty, 409),
        (ErrorCode::NotImplemented, 501),
        (ErrorCode::SlowDown, 503),
        (ErrorCode::SignatureDoesNotMatch, 403),
        (ErrorCode::RequestTimeout, 400),
    ] {
        assert_eq!(code.status().as_u16(), status, "{}", code.as_str());
    }
}

#[test]
fn the_cause_is_kept_as_source() {
    let error = S3Error::new(ErrorCode::InternalError).because("the drive is gone");
    assert_eq!(
        std::error::Error::source(&error).map(ToString::to_string).as_deref(),
        Some("the drive is gone")
    );
}
