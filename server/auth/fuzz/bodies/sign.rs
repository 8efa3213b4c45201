//! Any request, signed by `aws-sigv4`: it is accepted, and refused when something that it signs is changed.
//!
//! Input: a line `METHOD PATH`, a line with the query, whose parameters are separated by blanks, `name:value` lines, and
//! perhaps a line that says what is signed of the body, or `presigned`.

use aws_sigv4::http_request::SignatureLocation;
use http::HeaderValue;

#[path = "plan.rs"]
mod plan;

use plan::{Body, Plan, verifier};

const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// Whether a parameter or header is the signature's own, which the signer would write a second time.
fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let own = ["x-amz-", "awsaccesskeyid", "signature", "expires", "authorization", "host", "user-agent"];
    own.iter().any(|own| name.starts_with(own)) && !name.starts_with("x-amz-meta-")
}

/// Names that HTTP allows and values that the signer takes: printable, and not cut by whoever transports them.
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let name_fits = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let value_fits = value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.trim() == value;
    let fits = name_fits && value_fits && !name.is_empty() && !value.is_empty() && !is_reserved(name);
    fits.then(|| (name.to_owned(), value.to_owned()))
}

fn plan(text: &str) -> Option<Plan> {
    let mut lines = text.split('\n').take(64);
    let (method, path) = lines.next()?.split_once(' ')?;
    let parameter = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (!name.is_empty() && !is_reserved(name)).then(|| (name.to_owned(), value.to_owned()))
    };
    let query = lines.next()?.split(' ').filter_map(parameter).collect();
    let (mut headers, mut location) = (Vec::new(), SignatureLocation::Headers);
    let mut body = Body::Bytes(text.as_bytes().to_vec());
    for line in lines {
        match line {
            "presigned" => location = SignatureLocation::QueryParams,
            "unsigned" => body = Body::Unsigned,
            "chunks" => body = Body::StreamingSigned,
            "chunks and trailers" => body = Body::StreamingSignedTrailer,
            "unsigned chunks" => body = Body::StreamingUnsignedTrailer,
            line => headers.extend(header(line)),
        }
    }
    if location == SignatureLocation::QueryParams {
        body = Body::Unsigned;
    }
    Some(Plan {
        method: METHODS.into_iter().find(|known| *known == method)?,
        path: path.to_owned(),
        query,
        headers,
        region: "us-east-1".to_owned(),
        at_s: 1_369_353_600,
        body,
        location,
    })
}

pub(crate) fn run(data: &[u8]) {
    let Some(plan) = std::str::from_utf8(data).ok().and_then(plan) else { return };
    let verifier = verifier();
    let signed = plan.signed();
    assert!(verifier.verify(&signed, plan.time()).is_ok(), "refused {signed:?}");
    let mut other_method = signed.clone();
    other_method.method = http::Method::OPTIONS;
    let mut other_host = signed.clone();
    other_host.headers.insert("host", HeaderValue::from_static("other.example:9000"));
    let mut other_path = signed;
    let uri = other_path.uri.to_string();
    let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
    other_path.uri = format!("{path}x?{query}").parse().unwrap();
    for changed in [other_method, other_host, other_path] {
        assert!(verifier.verify(&changed, plan.time()).is_err(), "accepted {changed:?}");
    }
}
