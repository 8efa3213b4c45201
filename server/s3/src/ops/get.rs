//! GetObject and HeadObject.

use axum::body::Body;
use granary_engine::{ByteRange, ObjectInfo, Tags, check_readable};
use granary_types::{Checksum, PartNumber};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::attributes::{find_part, no_part};
use super::{ObjectAddress, object_headers, version};
use crate::access::{Target, actions};
use crate::conditions::{self, Verdict};
use crate::context::Context;
use crate::encryption;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::lifecycle;
use crate::locks;
use crate::operation::Operation;
use crate::range::RangeSpec;
use crate::respond::{self, S3Response};
use crate::send;

/// Which bytes a request asks for, before the object is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Whole,
    Range(RangeSpec),
    Part(PartNumber),
}

impl Wanted {
    fn of(context: &Context<'_>) -> S3Result<Self> {
        let range = context.header("range");
        match (range, context.query.get("partNumber")) {
            (Some(_), Some(_)) => Err(S3Error::invalid_request(
                "Cannot specify both Range header and partNumber query parameter",
            )),
            (None, Some(_)) => Ok(Self::Part(context.part_number()?)),
            (Some(range), None) => Ok(RangeSpec::parse(range).map_or(Self::Whole, Self::Range)),
            (None, None) => Ok(Self::Whole),
        }
    }

    /// Refuses a part that the object does not have, also to who does not bring its key: how many there are is no secret.
    fn check_part(self, info: &ObjectInfo) -> S3Result<()> {
        match (self, &info.parts) {
            (Self::Part(number), Some(parts)) => find_part(parts, number).map(drop),
            (Self::Part(number), None) if number.get() > 1 => Err(no_part(1, number)),
            _ => Ok(()),
        }
    }

    /// Without the range, if `If-Range` speaks of another object than this one.
    fn if_range(self, context: &Context<'_>, info: &ObjectInfo) -> Self {
        match self {
            Self::Range(_) if !conditions::if_range_holds(context.headers(), &info.etag, info.modified) => {
                Self::Whole
            }
            wanted => wanted,
        }
    }
}

/// The bytes to send, once the object is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Selection {
    range: ByteRange,
    status: StatusCode,
}

/// `GET /bucket/key`.
pub(super) async fn get(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let key = encryption::read_key(context)?;
    let wanted = check(context)?;
    let mut opened = version::open(context, object, context.query.get("versionId")).await?;
    wanted.check_part(opened.info())?;
    opened.unlock(key.as_ref())?;
    check_conditions(context, opened.info())?;
    check_readable(opened.info().storage_class, opened.info().restored)?;
    let (selection, mut headers) = answer(context, wanted, opened.info())?;
    describe_rest(context, object, opened.info(), &mut headers).await;
    let body = if selection.range.length_bytes() == 0 {
        Body::empty()
    } else {
        send::object_body(context.state, opened, selection.range).await?
    };
    Ok(response(selection, headers, body))
}

/// `HEAD /bucket/key`.
pub(super) async fn head(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let key = encryption::read_key(context)?;
    let wanted = check(context)?;
    let mut opened = version::open(context, object, context.query.get("versionId")).await?;
    wanted.check_part(opened.info())?;
    opened.unlock(key.as_ref())?;
    check_conditions(context, opened.info())?;
    let (selection, mut headers) = answer(context, wanted, opened.info())?;
    describe_rest(context, object, opened.info(), &mut headers).await;
    Ok(response(selection, headers, Body::empty()))
}

/// Headers that are for those only who may do this, which tells the same.
const GUARDED: &[(&[&str], Operation)] = &[
    (&[object_headers::TAG_COUNT], Operation::GetObjectTagging),
    (&[locks::MODE, locks::UNTIL], Operation::GetObjectRetention),
    (&[locks::HOLD], Operation::GetObjectLegalHold),
];

/// Tells when the object expires, which versions that are named do not, and takes away what its reader may not know.
async fn describe_rest(
    context: &Context<'_>,
    object: &ObjectAddress,
    info: &ObjectInfo,
    headers: &mut HeaderMap,
) {
    let version = context.query.get("versionId");
    for (names, operation) in GUARDED {
        if names.iter().any(|name| headers.contains_key(*name)) {
            let action = actions::of(*operation, version.is_some());
            let target = Target::object(&object.bucket, &object.key, version);
            if !context.requester.may(action, target).await.unwrap_or(false) {
                names.iter().for_each(|name| drop(headers.remove(*name)));
            }
        }
    }
    if version.is_none() {
        let written = (info.length_bytes, info.modified);
        lifecycle::describe(context, headers, (&object.bucket, &object.key), written, Tags::Of(info)).await;
    }
}

fn response(selection: Selection, headers: HeaderMap, body: Body) -> S3Response {
    let mut response = S3Response::new(body);
    *response.status_mut() = selection.status;
    *response.headers_mut() = headers;
    response
}

/// What can be checked before the object is known.
fn check(context: &Context<'_>) -> S3Result<Wanted> {
    version::named(context.query.get("versionId"))?;
    let overrides = context.query.pairs().any(|(name, _)| name.starts_with("response-"));
    if overrides && !context.is_signed() {
        return Err(S3Error::invalid_request(
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    Wanted::of(context)
}

fn check_conditions(context: &Context<'_>, info: &ObjectInfo) -> S3Result<()> {
    match conditions::READ.evaluate(context.headers(), &info.etag, info.modified) {
        Verdict::Proceed => Ok(()),
        Verdict::Failed(condition) => Err(S3Error::precondition_failed(condition)),
        Verdict::NotModified => Err(not_modified(info)),
    }
}

/// 304 with what a cache needs to go on using what it has (RFC 9110, section 15.4.5).
fn not_modified(info: &ObjectInfo) -> S3Error {
    let mut all = HeaderMap::new();
    object_headers::describe(&mut all, info);
    [header::ETAG, header::LAST_MODIFIED, header::CACHE_CONTROL, header::EXPIRES]
        .into_iter()
        .filter_map(|name| all.remove(&name).map(|value| (name, value)))
        .fold(S3Error::new(ErrorCode::NotModified), |error, (name, value)| error.header(name, value))
}

/// The bytes to send and the headers to send them with.
fn answer(context: &Context<'_>, wanted: Wanted, info: &ObjectInfo) -> S3Result<(Selection, HeaderMap)> {
    let mut headers = HeaderMap::with_capacity(20);
    object_headers::describe(&mut headers, info);
    encryption::describe(&mut headers, info.encryption.as_ref(), context.headers());
    let whole = ByteRange { start: 0, end: info.length_bytes };
    let show_checksum =
        context.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"));
    let selection = match wanted.if_range(context, info) {
        Wanted::Whole => {
            if let (true, Some(checksum)) = (show_checksum, &info.checksum) {
                object_headers::checksum(&mut headers, checksum);
            }
            Selection { range: whole, status: StatusCode::OK }
        }
        Wanted::Range(spec) => {
            Selection { range: spec.resolve(info.length_bytes)?, status: StatusCode::PARTIAL_CONTENT }
        }
        Wanted::Part(number) => part_selection(&mut headers, info, number, show_checksum)?,
    };
    if selection.status == StatusCode::PARTIAL_CONTENT {
        let ByteRange { start, end } = selection.range;
        let value = format!("bytes {start}-{}/{}", end.saturating_sub(1), info.length_bytes);
        respond::set(&mut headers, header::CONTENT_RANGE, value);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(selection.range.length_bytes()));
    object_headers::apply_overrides(&mut headers, context)?;
    Ok((selection, headers))
}

/// One part of a multipart object; an object put whole is its own first part.
fn part_selection(
    headers: &mut HeaderMap,
    info: &ObjectInfo,
    number: PartNumber,
    show_checksum: bool,
) -> S3Result<Selection> {
    let (range, checksum) = match &info.parts {
        Some(parts) => {
            let (start, part) = find_part(parts, number)?;
            let count = HeaderValue::from(parts.len());
            headers.insert(HeaderName::from_static("x-amz-mp-parts-count"), count);
            (ByteRange { start, end: start + part.length_bytes }, part.checksum.as_ref())
        }
        None if number.get() == 1 => (ByteRange { start: 0, end: info.length_bytes }, info.checksum.as_ref()),
        None => return Err(no_part(1, number)),
    };
    if let (true, Some(checksum)) = (show_checksum, checksum) {
        // The value is the part's, the kind is the object's: how the parts' checksums make the object's.
        let kind = info.checksum.as_ref().map_or(checksum.kind, |whole| whole.kind);
        object_headers::checksum(headers, &Checksum { kind, ..checksum.clone() });
    }
    // An empty range has no Content-Range.
    let status = if range.length_bytes() == 0 { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    Ok(Selection { range, status })
}
