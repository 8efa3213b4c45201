//! Names, paths and ids: what AWS allows, and new ones.
//!
//! Sources: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>

use std::time::{SystemTime, UNIX_EPOCH};

use crate::documents::Kind;
use crate::error::{IamError, Result};
use crate::vault::fill;

/// 32 characters, so that five random bits make one.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The beginnings of unique ids, as AWS has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdKind {
    /// A user.
    User,
    /// A group.
    Group,
    /// A role.
    Role,
    /// A managed policy.
    Policy,
    /// A long-term access key.
    AccessKey,
    /// A temporary access key.
    TemporaryKey,
}

impl IdKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
            Self::Policy => "ANPA",
            Self::AccessKey => "AKIA",
            Self::TemporaryKey => "ASIA",
        }
    }

    /// How many random characters follow: access keys have 20 characters, unique ids 21.
    fn random_chars(self) -> usize {
        match self {
            Self::AccessKey | Self::TemporaryKey => 16,
            _ => 17,
        }
    }
}

/// A new id.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn new_id(kind: IdKind) -> Result<String> {
    let mut random = vec![0_u8; kind.random_chars()];
    fill(&mut random)?;
    let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
    Ok(kind.prefix().chars().chain(letters.map(|&letter| char::from(letter))).collect())
}

/// A new secret: 240 random bits in 40 characters.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn new_secret() -> Result<String> {
    use base64::Engine as _;
    let mut random = zeroize::Zeroizing::new([0_u8; 30]);
    fill(random.as_mut_slice())?;
    Ok(base64::engine::general_purpose::STANDARD.encode(*random))
}

/// A new account id: 12 digits that do not begin with 0.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn new_account_id() -> Result<String> {
    let mut random = [0_u8; 8];
    fill(&mut random)?;
    const SPAN: u64 = 900_000_000_000;
    Ok((100_000_000_000 + u64::from_le_bytes(random) % SPAN).to_string())
}

/// A new canonical id.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn new_canonical_id() -> Result<String> {
    let mut random = [0_u8; 32];
    fill(&mut random)?;
    Ok(hex::encode(random))
}

/// Now, in milliseconds since the Unix epoch.
#[must_use]
pub(crate) fn now_ms() -> i64 {
    unix_ms(SystemTime::now())
}

/// A time in milliseconds since the Unix epoch.
#[must_use]
pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

/// Checks the name of a user, group, role or policy.
///
/// # Errors
/// `ValidationError`.
pub(crate) fn check_name(kind: Kind, name: &str) -> Result<()> {
    let longest = match kind {
        Kind::User | Kind::Role => 64,
        _ => 128,
    };
    if is_plain(name) && (1..=longest).contains(&name.len()) {
        return Ok(());
    }
    Err(IamError::invalid(format!(
        "The specified value for the name of a {} is invalid. It must contain only alphanumeric characters and/or the \
         following: +=,.@_- and have 1 to {longest} of them",
        kind.word()
    )))
}

/// Checks what a session is called, or who is said to have begun it, by the parameter that says so. The beginning `aws:`, which
/// is reserved, has a character that none has.
///
/// # Errors
/// `ValidationError`.
pub(crate) fn check_session_text(parameter: &str, text: &str) -> Result<()> {
    if is_plain(text) && (2..=64).contains(&text.len()) {
        return Ok(());
    }
    Err(IamError::invalid(format!(
        "The specified value for {parameter} is invalid. It must contain only alphanumeric characters and/or the \
         following: +=,.@_- and have 2 to 64 of them"
    )))
}

/// Checks a path.
///
/// # Errors
/// `ValidationError`.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let bytes = path.as_bytes();
    let is_framed = bytes.first() == Some(&b'/') && bytes.last() == Some(&b'/');
    if is_framed && bytes.len() <= 512 && bytes.iter().all(|byte| (0x21..=0x7F).contains(byte)) {
        return Ok(());
    }
    Err(IamError::invalid(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters \
         and/or / characters.",
    ))
}

/// Checks an access key that somebody chose.
///
/// # Errors
/// `ValidationError`.
pub(crate) fn check_access_key(key: &str) -> Result<()> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte));
    if is_plain && (3..=128).contains(&key.len()) {
        return Ok(());
    }
    Err(IamError::invalid("an access key has 3 to 128 letters, digits or any of - _ . @ +"))
}

/// Checks a secret that somebody chose.
///
/// # Errors
/// `ValidationError`; it does not show the secret.
pub(crate) fn check_secret(secret: &str) -> Result<()> {
    if (8..=128).contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(IamError::invalid("a secret key has 8 to 128 printable ASCII characters without spaces"))
}
