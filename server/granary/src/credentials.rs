//! The root credentials.
//!
//! They come from `GRANARY_ROOT_ACCESS_KEY` and `GRANARY_ROOT_SECRET_KEY`. When neither is set they are generated at
//! the first start, shown once, and kept in a file of mode 0600 on every drive, so that no lost drive takes them along.
//! There is no default password.

mod file;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use granary_auth::Credentials;
use granary_drive::IDENTITY_FILE;

pub use file::FILE_NAME;
use file::Found;

/// The environment variable with the access key.
pub const ACCESS_KEY_VARIABLE: &str = "GRANARY_ROOT_ACCESS_KEY";
/// The environment variable with the secret key.
pub const SECRET_KEY_VARIABLE: &str = "GRANARY_ROOT_SECRET_KEY";

/// The environment variable with the secret key before the present one, for the start after it was changed.
pub const PREVIOUS_SECRET_KEY_VARIABLE: &str = "GRANARY_PREVIOUS_ROOT_SECRET_KEY";

/// Where the root credentials came from, which decides what is still to be done.
#[derive(Debug)]
pub enum RootCredentials {
    /// Set in the environment; nothing is kept.
    Environment(Credentials),
    /// Read from the drives.
    Kept(Credentials),
    /// Made just now: to be kept, and then shown.
    Generated(Credentials),
}

impl RootCredentials {
    /// Finds the credentials, or generates them. Writes nothing: drives are not known to be ours yet.
    ///
    /// # Errors
    /// Only one variable set, values too short, files that others can read, or drives that disagree.
    pub fn find(environment: impl Fn(&str) -> Option<String>, drives: &[PathBuf]) -> Result<Self> {
        if let Some(credentials) = from_environment(environment)? {
            return Ok(Self::Environment(credentials));
        }
        match kept(drives)? {
            Some(credentials) => Ok(Self::Kept(credentials)),
            None => Ok(Self::Generated(generate()?)),
        }
    }

    /// The credentials themselves.
    #[must_use]
    pub fn get(&self) -> &Credentials {
        match self {
            Self::Environment(credentials) | Self::Kept(credentials) | Self::Generated(credentials) => {
                credentials
            }
        }
    }

    /// Keeps a copy on each of `drives` that is in use and has none that is whole. Call it when the drives have been opened.
    ///
    /// # Errors
    /// No drive has a copy. One drive that cannot take it is only logged: the store works without.
    pub fn keep(&self, drives: &[PathBuf]) -> Result<()> {
        if matches!(self, Self::Environment(_)) {
            return Ok(());
        }
        let mut kept = 0_usize;
        let mut last_error = None;
        // A directory without an identity is missing, empty or somebody else's: nothing is written there.
        for drive in drives.iter().filter(|drive| drive.join(IDENTITY_FILE).is_file()) {
            match file::write_unless_kept(drive, self.get()) {
                Ok(()) => kept += 1,
                Err(error) => {
                    tracing::warn!(drive = %drive.display(), error = format!("{error:#}"), "root credentials not kept");
                    last_error = Some(error);
                }
            }
        }
        match last_error {
            Some(error) if kept == 0 => Err(error).context("no drive could keep the root credentials"),
            None if kept == 0 => bail!("no drive is in use that could keep the root credentials"),
            _ => Ok(()),
        }
    }
}

/// The credentials that commands sign with: from the environment, or kept on one of `drives`.
///
/// # Errors
/// None are to be found, or those of [`RootCredentials::find`].
pub fn existing(environment: impl Fn(&str) -> Option<String>, drives: &[PathBuf]) -> Result<Credentials> {
    if let Some(credentials) = from_environment(environment)? {
        return Ok(credentials);
    }
    kept(drives)?.with_context(|| {
        format!(
            "no credentials: set {ACCESS_KEY_VARIABLE} and {SECRET_KEY_VARIABLE}, or name a drive with --data"
        )
    })
}

fn from_environment(environment: impl Fn(&str) -> Option<String>) -> Result<Option<Credentials>> {
    let (access, secret) = match (environment(ACCESS_KEY_VARIABLE), environment(SECRET_KEY_VARIABLE)) {
        (None, None) => return Ok(None),
        (Some(access), Some(secret)) => (access, secret),
        (Some(_), None) => {
            bail!("{ACCESS_KEY_VARIABLE} is set and {SECRET_KEY_VARIABLE} is not; set both or neither")
        }
        (None, Some(_)) => {
            bail!("{SECRET_KEY_VARIABLE} is set and {ACCESS_KEY_VARIABLE} is not; set both or neither")
        }
    };
    let is_plain = access.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@+".contains(&b));
    ensure!(
        is_plain && (3..=128).contains(&access.len()),
        "{ACCESS_KEY_VARIABLE} must be 3 to 128 letters, digits or any of - _ . @ +"
    );
    ensure!((8..=128).contains(&secret.len()), "{SECRET_KEY_VARIABLE} must be 8 to 128 bytes long");
    Ok(Some(Credentials::new(access, secret)))
}

/// What most of the copies on the drives hold. Rot of one of them is no reason not to start.
fn kept(drives: &[PathBuf]) -> Result<Option<Credentials>> {
    let mut copies: Vec<(Credentials, &Path)> = Vec::new();
    let mut damaged: Option<&Path> = None;
    for drive in drives {
        match file::read(drive)? {
            Found::Nothing => {}
            Found::Damaged => {
                tracing::warn!(drive = %drive.display(), "the root credentials kept here are damaged");
                damaged = Some(drive);
            }
            Found::Kept(credentials) => copies.push((credentials, drive)),
        }
    }
    let like = |credentials: &Credentials| copies.iter().filter(|(copy, _)| copy == credentials).count();
    let most = copies.iter().max_by_key(|(copy, _)| like(copy));
    let Some((credentials, drive)) = most else {
        return match damaged {
            Some(drive) => {
                bail!("{} is damaged, and no other drive has a copy", drive.join(FILE_NAME).display())
            }
            None => Ok(None),
        };
    };
    let Some((_, other)) = copies.iter().find(|(copy, _)| copy != credentials) else {
        return Ok(Some(credentials.clone()));
    };
    ensure!(
        2 * like(credentials) > copies.len(),
        "the root credentials on {} and {} differ; remove the wrong {FILE_NAME}, or set {ACCESS_KEY_VARIABLE} and \
         {SECRET_KEY_VARIABLE}",
        drive.display(),
        other.display()
    );
    tracing::warn!(drive = %other.display(), "the root credentials kept here are others than on most drives");
    Ok(Some(credentials.clone()))
}

/// 20 characters for the access key, 40 for the secret: 200 random bits.
fn generate() -> Result<Credentials> {
    Ok(Credentials::new(
        random_text(20, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")?,
        random_text(40, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")?,
    ))
}

/// `length` characters of a 32-character alphabet, five random bits each.
fn random_text(length: usize, alphabet: &[u8; 32]) -> Result<String> {
    let mut random = vec![0_u8; length];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("the system's random numbers: {error}"))?;
    Ok(random
        .iter()
        .filter_map(|byte| alphabet.get(usize::from(byte % 32)))
        .map(|&c| char::from(c))
        .collect())
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
