//! Uploads by browsers: `POST /bucket` with a form.
//!
//! The fields before the file say what a PutObject says in its headers; a signed policy among them says what its bearer
//! may upload. So the form becomes a PutObject of the file, which passes the same authorisation and the same handler.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>

mod answer;
pub mod fields;
pub mod parser;
pub mod policy;

use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use granary_auth::{AuthError, AuthMethod, PayloadMode, Principal, Verified};
use granary_types::{BucketName, UnixMillis};
use http::request::Parts;
use http::{HeaderMap, Method, header};
use http_body_util::BodyExt as _;

use crate::address::{Address, object_key};
use crate::body::LengthBounds;
use crate::context::{Context, ReceivedMeter};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::operation::Operation;
use crate::query::Query;
use crate::respond::S3Response;
use crate::router;
use crate::state::{S3State, Shared};
use fields::Fields;
use parser::{
    Delimiter, FIELDS_BYTES_MAX, FieldReader, FileScanner, Form, Piece, Progress, malformed, not_a_form,
};
use policy::Policy;

/// The headers that stay when a form becomes a PutObject: what tells where it came from.
const KEPT: [header::HeaderName; 4] = [header::HOST, header::USER_AGENT, header::REFERER, header::ORIGIN];

/// Whether a request to a bucket is a form: a POST that neither names an operation nor is signed as requests are.
pub(crate) fn is_form(parts: &Parts, query: &Query<'_>) -> bool {
    parts.method == Method::POST && query.is_empty() && !parts.headers.contains_key(header::AUTHORIZATION)
}

/// `POST /bucket`.
pub(crate) async fn post(
    state: &S3State,
    parts: &Parts,
    (host, bucket): (&str, BucketName),
    body: Body,
    received: &ReceivedMeter,
) -> S3Result<S3Response> {
    let shared = &*state.0;
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let delimiter = Delimiter::of_content_type(content_type.ok_or_else(not_a_form)?)?;
    let announced = announced_bytes(&parts.headers)?;
    let (form, body) = read_fields(shared, delimiter, body).await?;
    let mut fields = Fields::new(form.fields, &bucket)?;
    fields.name_file(&form.file_name)?;
    let (verified, (least, most)) = authenticate(shared, &fields)?;
    let key = object_key(fields.key())?;
    let mut put = as_put(parts, &fields)?;
    put.extensions.insert(LengthBounds { least, most, hint_bytes: announced });
    let (query, address) = (Query::default(), Address::Object(bucket.clone(), key.clone()));
    let operation = Operation::PutObject;
    let context = Context::new(state, (&put, &query, host), &verified, operation, received);
    let file = FileBody { body, scanner: form.file, read_ahead: Some(form.read_ahead), place: Place::File };
    let file = Body::from_stream(stream::try_unfold(file, FileBody::next));
    let stored = router::run(&context, operation, address, file).await?;
    Ok(answer::success(parts, host, &fields, (&bucket, &key), stored))
}

fn announced_bytes(headers: &HeaderMap) -> S3Result<u64> {
    let length = headers.get(header::CONTENT_LENGTH).ok_or(ErrorCode::MissingContentLength)?;
    length
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| S3Error::invalid_request("The value of content-length is not valid."))
}

/// Reads up to where the file begins.
async fn read_fields(shared: &Shared, delimiter: Delimiter, mut body: Body) -> S3Result<(Form, Body)> {
    let mut reader = FieldReader::new(delimiter);
    loop {
        let frame = tokio::time::timeout(shared.body_idle(), next_data(&mut body)).await;
        let data = frame.map_err(|_elapsed| ErrorCode::RequestTimeout)??.ok_or_else(malformed)?;
        match reader.feed(&data)? {
            Progress::More(same) => reader = same,
            Progress::File(form) => return Ok((*form, body)),
        }
    }
}

async fn next_data(body: &mut Body) -> S3Result<Option<Bytes>> {
    match body.frame().await {
        None => Ok(None),
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        Some(Err(error)) => Err(S3Error::new(ErrorCode::IncompleteBody).because(error)),
    }
}

/// Who the form acts for, and how long its file may be.
fn authenticate(shared: &Shared, fields: &Fields) -> S3Result<(Verified, (u64, u64))> {
    let Some((policy, signature, version)) = fields.signed_policy()? else {
        let (principal, method) = (Principal::Anonymous, AuthMethod::Anonymous);
        return Ok((Verified { principal, method, payload: PayloadMode::Unsigned }, (0, u64::MAX)));
    };
    let token = fields.get("x-amz-security-token");
    let verified = shared
        .verifier
        .verify_form(policy, signature, token, SystemTime::now())
        .map_err(|error| with_sent(error, fields))?;
    let policy = Policy::parse(policy)?;
    policy.check(fields, version, UnixMillis::now())?;
    Ok((verified, policy.file_bytes))
}

/// The refusal of a signature with what was sent.
fn with_sent(error: AuthError, fields: &Fields) -> S3Error {
    let is_mismatch = error == AuthError::SignatureDoesNotMatch;
    let error = S3Error::from(error);
    let sent = ["x-amz-signature", "signature"].into_iter().find_map(|name| fields.get(name));
    match sent.filter(|_| is_mismatch) {
        Some(sent) => error
            .field("StringToSign", fields.get("policy").unwrap_or_default())
            .field("SignatureProvided", sent),
        None => error,
    }
}

/// The head of the PutObject that the form stands for.
fn as_put(parts: &Parts, fields: &Fields) -> S3Result<Parts> {
    let mut put = parts.clone();
    put.method = Method::PUT;
    put.headers = fields.to_headers()?;
    for name in KEPT {
        if let Some(value) = parts.headers.get(&name) {
            put.headers.insert(name, value.clone());
        }
    }
    Ok(put)
}

/// The file as a body of its own.
struct FileBody {
    body: Body,
    scanner: FileScanner,
    read_ahead: Option<Bytes>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    File,
    Behind,
}

impl FileBody {
    async fn next(mut self) -> S3Result<Option<(Bytes, Self)>> {
        if self.place == Place::Behind {
            return Ok(None);
        }
        let data = match self.read_ahead.take() {
            Some(data) => data,
            None => next_data(&mut self.body).await?.ok_or_else(malformed)?,
        };
        Ok(Some(match self.scanner.scan(data) {
            Piece::More(piece) => (piece, self),
            Piece::Last(piece) => {
                self.place = Place::Behind;
                self.pass_rest().await?;
                (piece, self)
            }
        }))
    }

    /// Reads the little that should follow the file, so that the connection can be used again.
    async fn pass_rest(&mut self) -> S3Result<()> {
        let mut passed = 0;
        while passed <= FIELDS_BYTES_MAX
            && let Some(data) = next_data(&mut self.body).await?
        {
            passed = passed.saturating_add(data.len());
        }
        Ok(())
    }
}
