use granary_types::BucketName;

use super::*;

#[test]
fn every_auth_code_is_known() {
    for error in [
        AuthError::InvalidAccessKeyId,
        AuthError::SignatureDoesNotMatch,
        AuthError::RequestTimeTooSkewed,
        AuthError::InvalidToken,
        AuthError::AuthorizationHeaderMalformed {
            reason: String::new(),
            region: Some("eu-west-1".to_owned()),
        },
        AuthError::AuthorizationQueryParametersError(String::new()),
        AuthError::InvalidArgument(String::new()),
        AuthError::InvalidRequest(String::new()),
        AuthError::NotImplemented(""),
        AuthError::MissingContentLength,
        AuthError::IncompleteBody(""),
        AuthError::InvalidChunkSize(""),
        AuthError::MalformedTrailer(String::new()),
    ] {
        let (code, status) = (error.code(), error.status());
        let shown = S3Error::from(error);
        assert_eq!((shown.code().as_str(), shown.code().status()), (code, status));
    }
}

#[test]
fn engine_errors_have_codes() {
    let bucket = BucketName::new("abc").unwrap();
    for (error, code) in [
        (EngineError::NoSuchBucket(bucket), ErrorCode::NoSuchBucket),
        (EngineError::NoSuchKey, ErrorCode::NoSuchKey),
        (EngineError::PreconditionFailed, ErrorCode::PreconditionFailed),
        (EngineError::NoSpace, ErrorCode::ServiceUnavailable),
        (EngineError::Internal("x"), ErrorCode::InternalError),
    ] {
        assert_eq!(S3Error::from(error).code(), code);
    }
}

#[test]
fn an_error_of_our_own_comes_back_through_the_engine_unchanged() {
    let own = S3Error::new(ErrorCode::BadDigest).field("ExpectedDigest", "x");
    let back = S3Error::from(EngineError::Source(own.into()));
    assert_eq!((back.code(), back.fields().len()), (ErrorCode::BadDigest, 1));
}
