//! Headers that ask for what this server does not do. Ignoring them would store an object that others can read or delete
//! against its owner's wish, or in another place, so they are refused.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{S3Error, S3Result};

/// Refuses a write that carries such a header.
///
/// # Errors
/// `NotImplemented`, naming the header.
pub fn check_write(headers: &HeaderMap) -> S3Result<()> {
    for (name, value) in headers {
        let Some(rest) = name.as_str().strip_prefix("x-amz-") else { continue };
        if !is_honoured(rest, value) {
            return Err(refusal(name, value));
        }
    }
    Ok(())
}

fn refusal(name: &HeaderName, value: &HeaderValue) -> S3Error {
    let shown = value.to_str().unwrap_or_default();
    S3Error::not_implemented(format_args!("The header {name}"))
        .field("Header", name.as_str())
        .field("Value", shown)
}

fn is_honoured(name: &str, value: &HeaderValue) -> bool {
    match name {
        "write-offset-bytes"
        | "object-lock-event-hold-duration-days"
        | "object-lock-event-hold-duration-years" => false,
        // What is asked for by these values is what there is.
        "object-lock-event-hold" => value == "OFF",
        "bucket-namespace" => value == "global",
        _ => true,
    }
}

#[cfg(test)]
#[path = "unsupported_tests.rs"]
mod tests;
