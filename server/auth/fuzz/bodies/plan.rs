//! Requests that `aws-sigv4` signs.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use granary_auth::{Credentials, RegionPolicy, StaticCredentials, Verifier};
use http::Request;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const AKID: &str = "GRANARYTEST";
const SECRET: &str = "a/secret+with=all kinds";
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &COMPONENT.remove(b'/');

/// A request to be signed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) region: String,
    pub(crate) at_s: u64,
    pub(crate) body: Body,
    pub(crate) location: SignatureLocation,
}

/// What a signature says of the body.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    Unsigned,
    StreamingUnsignedTrailer,
    StreamingSigned,
    StreamingSignedTrailer,
}

impl Body {
    fn signable(&self) -> SignableBody<'_> {
        match self {
            Self::Bytes(bytes) => SignableBody::Bytes(bytes),
            Self::Unsigned => SignableBody::UnsignedPayload,
            Self::StreamingUnsignedTrailer => SignableBody::StreamingUnsignedPayloadTrailer,
            Self::StreamingSigned => {
                SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned())
            }
            Self::StreamingSignedTrailer => {
                SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned())
            }
        }
    }
}

impl Plan {
    pub(crate) fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.at_s)
    }

    fn target(&self) -> String {
        let encode = |text: &str| utf8_percent_encode(text, COMPONENT).to_string();
        let path = utf8_percent_encode(&self.path, PATH);
        let query: Vec<_> = self.query.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
        if query.is_empty() { format!("/{path}") } else { format!("/{path}?{}", query.join("&")) }
    }

    /// The head of the request, as `aws-sigv4` signs it.
    pub(crate) fn signed(&self) -> Parts {
        let mut builder = Request::builder()
            .method(self.method)
            .uri(format!("http://store.example:9000{}", self.target()))
            .header("host", "store.example:9000");
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        let mut request = builder.body(()).unwrap();

        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.signature_location = self.location;
        if self.location == SignatureLocation::QueryParams {
            settings.expires_in = Some(Duration::from_secs(900));
        } else {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = credentials().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(self.time())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = request.uri().to_string();
        let headers: Vec<_> =
            request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        let signable =
            SignableRequest::new(self.method, &uri, headers.into_iter(), self.body.signable()).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request.into_parts().0
    }
}

/// Who signs.
pub(crate) fn credentials() -> SigningCredentials {
    SigningCredentials::from_keys(AKID, SECRET, None)
}

/// What knows the secret.
pub(crate) fn verifier() -> Verifier {
    Verifier::new(Arc::new(StaticCredentials::root(Credentials::new(AKID, SECRET))), RegionPolicy::Any)
}
