//! Requester Pays: who asks for something in such a bucket says that they pay, or gets nothing.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html>

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Requester;
use super::rules::Rules;
use crate::error::{ErrorCode, S3Result};

/// The name of it among the configurations of a bucket.
pub(crate) const DOCUMENT: &str = "request-payment/";
/// What is stored of one where requesters pay.
const REQUESTER: &[u8] = b"<Payer>Requester</Payer>";

/// What a request says, as a header or, of a presigned URL, a parameter.
const SAYS: &str = "x-amz-request-payer";
const CHARGED: HeaderName = HeaderName::from_static("x-amz-request-charged");

/// Who pays for requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Payer {
    /// The bucket's owner.
    #[default]
    Owner,
    /// Whoever asks.
    Requester,
}

impl Payer {
    /// Reads what is stored.
    pub(super) fn of_stored(document: Option<&[u8]>) -> Self {
        if document == Some(REQUESTER) { Self::Requester } else { Self::Owner }
    }
}

impl Requester<'_> {
    /// Who is charged for a request about a bucket.
    ///
    /// # Errors
    /// `AccessDenied` for who would have to pay and does not say so, or did not sign.
    pub(crate) fn charge(&self, rules: &Rules) -> S3Result<Payer> {
        if rules.payer == Payer::Owner || self.is_of(&rules.owner) || self.is_superuser() {
            return Ok(Payer::Owner);
        }
        let says = self.sent.header(SAYS).or_else(|| self.sent.query.get(SAYS));
        let pays = says.is_some_and(|says| says.eq_ignore_ascii_case("requester"));
        if pays && self.own().is_some() { Ok(Payer::Requester) } else { Err(ErrorCode::AccessDenied.into()) }
    }
}

/// Tells a requester that it was charged.
pub(crate) fn tell(payer: Payer, headers: &mut HeaderMap) {
    if payer == Payer::Requester {
        headers.insert(CHARGED, HeaderValue::from_static("requester"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_stored_for_it_makes_requesters_pay() {
        assert_eq!(Payer::of_stored(None), Payer::Owner);
        assert_eq!(Payer::of_stored(Some(b"<Payer>BucketOwner</Payer>")), Payer::Owner);
        assert_eq!(Payer::of_stored(Some(REQUESTER)), Payer::Requester);
    }
}
