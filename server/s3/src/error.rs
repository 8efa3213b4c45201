//! S3's errors: one table with each code beside its HTTP status and default message.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>. The texts follow AWS's, since
//! some clients print or match them.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode};

macro_rules! error_codes {
    (@name $variant:ident) => { stringify!($variant) };
    (@name $variant:ident $name:literal) => { $name };
    ($($variant:ident $(as $name:literal)? = $status:ident, $message:literal;)+) => {
        /// The code of an S3 error, which decides its HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the variants are AWS's names")]
        pub enum ErrorCode {
            $($variant),+
        }

        impl ErrorCode {
            /// Every code this server can send.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text of `<Code>`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => error_codes!(@name $variant $($name)?)),+ }
            }

            /// The HTTP status sent with the code.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// The text of `<Message>` where nothing more exact is known.
            #[must_use]
            pub fn default_message(self) -> &'static str {
                match self { $(Self::$variant => $message),+ }
            }

            /// The code of that name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

error_codes! {
    AccessControlListNotSupported = BAD_REQUEST, "The bucket does not allow ACLs";
    AccessDenied = FORBIDDEN, "Access Denied";
    AccessForbidden = FORBIDDEN, "CORSResponse: CORS is not enabled for this bucket.";
    AuthorizationHeaderMalformed = BAD_REQUEST, "The authorization header you provided is invalid.";
    AuthorizationQueryParametersError = BAD_REQUEST, "The authorization query parameters that you provided are not valid.";
    BadDigest = BAD_REQUEST, "The Content-MD5 or checksum value that you specified did not match what the server received.";
    BadRequest = BAD_REQUEST, "Bad Request";
    BucketAlreadyExists = CONFLICT, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Select a different name and try again.";
    BucketAlreadyOwnedByYou = CONFLICT, "Your previous request to create the named bucket succeeded and you already own it.";
    BucketNotEmpty = CONFLICT, "The bucket you tried to delete is not empty. You must delete all versions in the bucket.";
    ConditionalRequestConflict = CONFLICT, "A conflicting conditional operation occurred. If the request needs to be retried, use a new request.";
    EntityTooLarge = BAD_REQUEST, "Your proposed upload exceeds the maximum allowed size";
    EntityTooSmall = BAD_REQUEST, "Your proposed upload is smaller than the minimum allowed size";
    ExpiredToken = BAD_REQUEST, "The provided token has expired.";
    GlacierExpeditedRetrievalNotAvailable = SERVICE_UNAVAILABLE, "Glacier expedited retrievals are currently not available. Try again later.";
    IllegalLocationConstraintException = BAD_REQUEST, "The specified location constraint is not valid for this server's region.";
    IllegalVersioningConfigurationException = BAD_REQUEST, "The Versioning element must be specified";
    IncompleteBody = BAD_REQUEST, "You did not provide the number of bytes specified by the Content-Length HTTP header";
    InternalError = INTERNAL_SERVER_ERROR, "We encountered an internal error. Please try again.";
    InvalidAccessKeyId = FORBIDDEN, "The AWS Access Key Id you provided does not exist in our records.";
    InvalidArgument = BAD_REQUEST, "Invalid Argument";
    InvalidBucketAclWithBlockPublicAccessError = BAD_REQUEST, "Bucket cannot have public ACLs set with BlockPublicAccess enabled";
    InvalidBucketAclWithObjectOwnership = BAD_REQUEST, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
    InvalidBucketName = BAD_REQUEST, "The specified bucket is not valid.";
    InvalidBucketState = CONFLICT, "The request is not valid with the current state of the bucket.";
    InvalidChunkSizeError = BAD_REQUEST, "Only the last chunk is allowed to have a size less than 8192 bytes";
    InvalidDigest = BAD_REQUEST, "The Content-MD5 you specified was invalid.";
    InvalidEncryptionAlgorithmError = BAD_REQUEST, "The encryption request that you specified is not valid. The valid value is AES256.";
    InvalidLocationConstraint = BAD_REQUEST, "The specified location-constraint is not valid";
    InvalidObjectState = FORBIDDEN, "The operation is not valid for the object's storage class";
    InvalidPart = BAD_REQUEST, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartOrder = BAD_REQUEST, "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidPolicyDocument = BAD_REQUEST, "The content of the form does not meet the conditions specified in the policy document.";
    InvalidRange = RANGE_NOT_SATISFIABLE, "The requested range is not satisfiable";
    InvalidRetentionPeriod = BAD_REQUEST, "Default retention period must be a positive integer value";
    InvalidRequest = BAD_REQUEST, "Invalid Request";
    InvalidSecurity = FORBIDDEN, "The provided security credentials are not valid.";
    InvalidStorageClass = BAD_REQUEST, "The storage class you specified is not valid";
    InvalidTag = BAD_REQUEST, "The tag provided was not a valid tag.";
    InvalidTargetBucketForLogging = BAD_REQUEST, "The target bucket for logging does not exist";
    InvalidToken = BAD_REQUEST, "The provided token is malformed or otherwise invalid.";
    InvalidURI = BAD_REQUEST, "Couldn't parse the specified URI.";
    InvalidWriteOffset = BAD_REQUEST, "The write offset value that you specified does not match the current object size.";
    KmsNotFoundException as "KMS.NotFoundException" = BAD_REQUEST, "The key does not exist.";
    KeyTooLongError = BAD_REQUEST, "Your key is too long";
    MalformedPOSTRequest = BAD_REQUEST, "The body of your POST request is not well-formed multipart/form-data.";
    MalformedXML = BAD_REQUEST, "The XML you provided was not well-formed or did not validate against our published schema";
    MalformedTrailerError = BAD_REQUEST, "The request contained trailing data that was not well-formed or did not conform to our published schema.";
    MalformedACLError = BAD_REQUEST, "The XML you provided was not well-formed or did not validate against our published schema";
    MalformedPolicy = BAD_REQUEST, "This policy is not valid.";
    MaxMessageLengthExceeded = BAD_REQUEST, "Your request was too big.";
    MaxPostPreDataLengthExceededError = BAD_REQUEST, "Your POST request fields preceding the upload file were too large.";
    MetadataTooLarge = BAD_REQUEST, "Your metadata headers exceed the maximum allowed metadata size";
    MethodNotAllowed = METHOD_NOT_ALLOWED, "The specified method is not allowed against this resource.";
    MissingContentLength = LENGTH_REQUIRED, "You must provide the Content-Length HTTP header.";
    MissingRequestBodyError = BAD_REQUEST, "Request Body is empty";
    MissingSecurityHeader = BAD_REQUEST, "Your request was missing a required header.";
    NoSuchBucket = NOT_FOUND, "The specified bucket does not exist";
    NoSuchCORSConfiguration = NOT_FOUND, "The CORS configuration does not exist";
    NoSuchBucketPolicy = NOT_FOUND, "The bucket policy does not exist";
    NoSuchConfiguration = NOT_FOUND, "The specified configuration does not exist.";
    NoSuchKey = NOT_FOUND, "The specified key does not exist.";
    NoSuchLifecycleConfiguration = NOT_FOUND, "The lifecycle configuration does not exist";
    NoSuchObjectLockConfiguration = NOT_FOUND, "The specified object does not have a ObjectLock configuration";
    NoSuchPublicAccessBlockConfiguration = NOT_FOUND, "The public access block configuration was not found";
    NoSuchTagSet = NOT_FOUND, "The TagSet does not exist";
    NoSuchUpload = NOT_FOUND, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    NoSuchVersion = NOT_FOUND, "The specified version does not exist.";
    NoSuchWebsiteConfiguration = NOT_FOUND, "The specified bucket does not have a website configuration";
    NotImplemented = NOT_IMPLEMENTED, "A header or query you provided implies functionality that is not implemented.";
    NotModified = NOT_MODIFIED, "Not Modified";
    ObjectLockConfigurationNotFoundError = NOT_FOUND, "Object Lock configuration does not exist for this bucket";
    OperationAborted = CONFLICT, "A conflicting conditional operation is currently in progress against this resource. Please try again.";
    OwnershipControlsNotFoundError = NOT_FOUND, "The bucket ownership controls were not found";
    PreconditionFailed = PRECONDITION_FAILED, "At least one of the pre-conditions you specified did not hold";
    QuotaExceeded = FORBIDDEN, "The quota is exceeded.";
    ReplicationConfigurationNotFoundError = NOT_FOUND, "The replication configuration was not found";
    RequestHeaderSectionTooLarge = BAD_REQUEST, "Your request header section exceeds the maximum allowed size.";
    RequestTimeTooSkewed = FORBIDDEN, "The difference between the request time and the server's time is too large.";
    RequestTimeout = BAD_REQUEST, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.";
    RestoreAlreadyInProgress = CONFLICT, "Object restore is already in progress";
    ServerSideEncryptionConfigurationNotFoundError = NOT_FOUND, "The server side encryption configuration was not found";
    ServiceUnavailable = SERVICE_UNAVAILABLE, "Service is unable to handle request.";
    SignatureDoesNotMatch = FORBIDDEN, "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    SlowDown = SERVICE_UNAVAILABLE, "Please reduce your request rate.";
    TooManyConfigurations = BAD_REQUEST, "You are attempting to create a new configuration but have already reached the 1,000-configuration limit.";
    TooManyBuckets = BAD_REQUEST, "You have attempted to create more buckets than allowed";
    TooManyParts = BAD_REQUEST, "You have attempted to add more parts than the maximum of 10000 that are allowed for this object.";
    UnexpectedContent = BAD_REQUEST, "This request contains unsupported content.";
    UnresolvableGrantByEmailAddress = BAD_REQUEST, "The e-mail address you provided does not match any account on record.";
    UserKeyMustBeSpecified = BAD_REQUEST, "The bucket POST must contain the specified field name. If it is specified, please check the order of the fields.";
    XAmzContentSHA256Mismatch = BAD_REQUEST, "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

/// An error as a client sees it: a code, a message and AWS's extra fields for that code.
///
/// What went wrong inside (the source) is logged with the request id and not shown.
#[derive(Debug)]
pub struct S3Error {
    code: ErrorCode,
    message: Cow<'static, str>,
    fields: Vec<(&'static str, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a handler of this crate returns.
pub type S3Result<T> = Result<T, S3Error>;

impl S3Error {
    /// An error with the code's default message.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        Self::with_message(code, code.default_message())
    }

    /// An error with its own message.
    #[must_use]
    pub fn with_message(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), fields: Vec::new(), headers: Vec::new(), source: None }
    }

    /// `InvalidArgument` with the argument's name and value, as AWS reports it.
    #[must_use]
    pub fn invalid_argument(
        name: &'static str,
        value: impl Into<String>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::with_message(ErrorCode::InvalidArgument, message)
            .field("ArgumentName", name)
            .field("ArgumentValue", value)
    }

    /// `NotImplemented` naming what is missing.
    #[must_use]
    pub fn not_implemented(what: impl fmt::Display) -> Self {
        Self::with_message(ErrorCode::NotImplemented, format!("{what} is not implemented by this server."))
    }

    /// `InvalidRequest` with its reason.
    #[must_use]
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with_message(ErrorCode::InvalidRequest, message)
    }

    /// `PreconditionFailed` naming the header that did not hold.
    #[must_use]
    pub fn precondition_failed(condition: &'static str) -> Self {
        Self::new(ErrorCode::PreconditionFailed).field("Condition", condition)
    }

    /// Adds an XML element after the message.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The extra XML elements, in order.
    #[must_use]
    pub fn fields(&self) -> &[(&'static str, String)] {
        &self.fields
    }

    /// The chain of causes in one line, for the log.
    #[must_use]
    pub fn causes(&self) -> String {
        let mut line = String::new();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&cause.to_string());
            next = cause.source();
        }
        line
    }

    /// The extra response headers.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

impl From<ErrorCode> for S3Error {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for S3Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
