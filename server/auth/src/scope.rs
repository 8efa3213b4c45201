//! The credential scope: `ACCESS_KEY/20130524/us-east-1/s3/aws4_request`.

use crate::amz_date::AmzDate;

const TERMINATOR: &str = "aws4_request";

/// The service that a request is signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Objects and buckets.
    S3,
    /// Identities.
    Iam,
    /// Temporary credentials.
    Sts,
}

impl Service {
    /// Its name in scopes and in keys.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    /// The service of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::S3, Self::Iam, Self::Sts].into_iter().find(|service| service.name() == name)
    }
}

/// A parsed `Credential`. Borrowed from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CredentialScope<'a> {
    pub(crate) access_key: &'a str,
    pub(crate) day: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: Service,
    /// Everything after the access key, as it stands in the string to sign.
    pub(crate) text: &'a str,
}

impl<'a> CredentialScope<'a> {
    /// Splits from the right, because access keys may hold slashes. The error is the reason, worded as AWS does.
    pub(crate) fn parse(credential: &'a str) -> Result<Self, String> {
        let mut parts = credential.rsplitn(5, '/');
        let (Some(terminator), Some(service), Some(region), Some(day), Some(access_key)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!(
                "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\", \
                 not {} characters with fewer parts.",
                credential.len()
            ));
        };
        if access_key.is_empty() {
            return Err("the access key in the Credential is empty.".to_owned());
        }
        if terminator != TERMINATOR {
            return Err(format!("incorrect terminator {terminator:?}. This endpoint uses \"aws4_request\"."));
        }
        let service = Service::parse(service).ok_or_else(|| wrong_service(service))?;
        // Clients that are configured with no region sign for none. AWS refuses that for S3; here it is let pass, as
        // nobody can make such a signature but who has the secret.
        if !region.is_empty() && !is_well_formed_region(region) {
            return Err(format!("the region {region:?} is not a well-formed region name."));
        }
        if day.len() != 8 || !day.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!(
                "incorrect date format {day:?}. This date in the credential must be in the format \"yyyyMMdd\"."
            ));
        }
        let text = credential.get(access_key.len() + 1..).unwrap_or_default();
        Ok(Self { access_key, day, region, service, text })
    }

    /// The scope's service must be the one that is asked.
    pub(crate) fn check_service(&self, service: Service) -> Result<(), String> {
        if self.service == service { Ok(()) } else { Err(wrong_service(self.service.name())) }
    }

    /// The scope's day must be the day the request was signed.
    pub(crate) fn check_day(&self, signed_at: &AmzDate) -> Result<(), String> {
        if self.day == signed_at.day() {
            return Ok(());
        }
        Err(format!(
            "Invalid credential date {:?}. This date is not the same as X-Amz-Date: {:?}.",
            self.day,
            signed_at.day()
        ))
    }
}

fn wrong_service(service: &str) -> String {
    format!("incorrect service {service:?}. This endpoint belongs to \"s3\".")
}

/// Region names are short words of letters, digits, `-` and `_`; clients of other stores invent their own.
fn is_well_formed_region(region: &str) -> bool {
    (1..=64).contains(&region.len())
        && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
