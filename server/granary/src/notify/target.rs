//! The targets as the operator names them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use http::Uri;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::Settings;
use crate::secret_file;

const SECRETS_BYTES_MAX: u64 = 64 * 1024;
const SECRET_BYTES_MIN: usize = 16;
const NAME_BYTES_MAX: usize = 64;

/// `NAME=URL`: where events are sent that buckets have sent to that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetSetting {
    /// The name, which the ARNs of bucket's configurations end with.
    pub name: String,
    /// Where it is.
    pub url: String,
}

impl FromStr for TargetSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) = text.split_once('=').ok_or("a target is given as NAME=URL")?;
        let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name {
            return Err(format!("{name:?} is no name of a target: letters, digits, -, _ and ., at most 64"));
        }
        Ok(Self { name: name.to_owned(), url: url.to_owned() })
    }
}

impl TryFrom<String> for TargetSetting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TargetSetting> for String {
    fn from(target: TargetSetting) -> Self {
        target.to_string()
    }
}

impl fmt::Display for TargetSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.url)
    }
}

/// The names that configurations of buckets may use.
#[must_use]
pub fn target_names(settings: &Settings) -> Vec<String> {
    settings.notify.iter().map(|target| target.name.clone()).collect()
}

/// A target that is ready to be sent to.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// The path and the query.
    pub(super) path: String,
    /// What messages are signed with.
    pub(super) secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("name", &self.name).field("host", &self.host).finish_non_exhaustive()
    }
}

/// The targets of the settings, with their secrets.
pub(super) fn load(settings: &Settings) -> Result<Vec<Target>> {
    let path = settings.notify_secret_file.as_deref();
    let path =
        path.context("notify_secret_file is not set: each target needs a secret to sign its messages with")?;
    let secrets = read_secrets(path)?;
    let mut targets: Vec<Target> = Vec::with_capacity(settings.notify.len());
    for setting in &settings.notify {
        ensure!(targets.iter().all(|other| other.name != setting.name), "{} is given twice", setting.name);
        let secret = secrets.iter().find(|(name, _)| *name == setting.name);
        let Some((_, secret)) = secret else { bail!("{} has no secret in {}", setting.name, path.display()) };
        let plain = if settings.notify_allow_private { Plain::Allowed } else { Plain::Refused };
        let target = resolve(setting, secret.clone(), plain);
        targets.push(target.with_context(|| format!("the URL of {}", setting.name))?);
    }
    Ok(targets)
}

/// Whether targets may be spoken to without TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    Allowed,
    Refused,
}

fn resolve(setting: &TargetSetting, secret: Zeroizing<Vec<u8>>, plain: Plain) -> Result<Target> {
    let uri: Uri = setting.url.parse().context("it is no URL")?;
    let authority = uri.authority().context("it names no host")?;
    ensure!(!authority.as_str().contains('@'), "it must hold no user name or password");
    let (is_tls, port) = match uri.scheme_str() {
        Some("https") => (true, 443),
        Some("http") if plain == Plain::Allowed => (false, 80),
        Some("http") => bail!("it must begin with https://; http:// is for --notify-allow-private"),
        _ => bail!("it must begin with https://"),
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    ensure!(!host.is_empty(), "it names no host");
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Ok(Target {
        name: setting.name.clone(),
        is_tls,
        host,
        port: authority.port_u16().unwrap_or(port),
        path,
        secret,
    })
}

/// Reads lines of `NAME=SECRET`.
fn read_secrets(path: &Path) -> Result<Vec<(String, Zeroizing<Vec<u8>>)>> {
    let shown = path.display();
    let content = secret_file::read(path, SECRETS_BYTES_MAX)?.map(Zeroizing::new);
    let content = content.with_context(|| format!("{shown} does not exist"))?;
    let text = std::str::from_utf8(&content).with_context(|| format!("{shown} is no text"))?;
    let mut secrets = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line itself is not shown: it holds a secret.
        let (name, secret) =
            line.split_once('=').with_context(|| format!("line {number} of {shown} is not NAME=SECRET"))?;
        ensure!(
            secret.len() >= SECRET_BYTES_MIN,
            "the secret in line {number} of {shown} is too short: at least {SECRET_BYTES_MIN} characters"
        );
        secrets.push((name.trim().to_owned(), Zeroizing::new(secret.as_bytes().to_vec())));
    }
    Ok(secrets)
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
