//! `Expect: 100-continue` answered with a final status instead.
//!
//! RFC 9110, section 10.1.1, allows that, and hyper does it for a request whose body is empty or refused unread. But
//! botocore as it was for years, still inside aws-cli 1, then misreads the next answer on that connection and waits
//! until it times out. AWS sends the interim answer even for an empty body, and closes after a refusal; closing in
//! both cases is what hyper lets us do.

use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT};
use http::{HeaderValue, Request, Version};

/// What is remembered of a request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It expects no interim answer, or hyper sends one before the body.
    Plain,
    /// It expects one and its body is empty, so hyper will not send it.
    EmptyBody,
    /// It expects one, which it gets when its body is first read.
    Body,
}

impl Expectation {
    /// Of a request on an HTTP/1 connection.
    pub fn of<B>(request: &Request<B>) -> Self {
        let expects = request.headers().get(EXPECT).is_some_and(|value| {
            request.version() == Version::HTTP_11 && value.as_bytes().eq_ignore_ascii_case(b"100-continue")
        });
        let is_empty = request.headers().get(CONTENT_LENGTH).is_some_and(|length| length == "0");
        match (expects, is_empty) {
            (false, _) => Self::Plain,
            (true, true) => Self::EmptyBody,
            (true, false) => Self::Body,
        }
    }

    /// Closes the connection after an answer that comes, or may come, in place of the interim one.
    pub fn settle(self, response: &mut Response) {
        let is_refusal = response.status().is_client_error() || response.status().is_server_error();
        let is_in_place_of_interim = match self {
            Self::Plain => false,
            Self::EmptyBody => true,
            Self::Body => is_refusal,
        };
        if is_in_place_of_interim {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

#[cfg(test)]
#[path = "expect_tests.rs"]
mod tests;
