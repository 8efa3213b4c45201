//! URLs with several hosts.
//!
//! sqlx knows one host for a connection, so the list is taken apart here and each host gets options of its own.

use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::error::{MetadataError, Result};
use crate::sqlite::failure::unavailable;

/// The hosts of a URL, in its order. At least one.
#[derive(Clone)]
pub(super) struct Hosts {
    each: Vec<PgConnectOptions>,
}

impl std::fmt::Debug for Hosts {
    /// Only where, never who with what password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.each.iter().map(name)).finish()
    }
}

/// `host:port`, for logs.
pub(super) fn name(host: &PgConnectOptions) -> String {
    match host.get_socket() {
        Some(socket) => format!("{}:{}", socket.display(), host.get_port()),
        None => format!("{}:{}", host.get_host(), host.get_port()),
    }
}

fn invalid(why: &str) -> MetadataError {
    unavailable("reading the database URL", why)
}

/// The URL taken apart, still as it was written.
struct Parts<'u> {
    scheme: &'u str,
    credentials: &'u str,
    hosts: Vec<&'u str>,
    path: &'u str,
    query: Vec<&'u str>,
}

fn take_apart(url: &str) -> Result<Parts<'_>> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("it has no scheme"))?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err(invalid("its scheme is not postgres"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let query = query.split('&').filter(|pair| !pair.is_empty()).collect();
    Ok(Parts { scheme, credentials, hosts: hosts.split(',').collect(), path, query })
}

impl Hosts {
    pub(super) fn parse(url: &str) -> Result<Self> {
        let mut parts = take_apart(url)?;
        for pair in &parts.query {
            let attributes = pair.strip_prefix("target_session_attrs=");
            if attributes.is_some_and(|wanted| !matches!(wanted, "read-write" | "primary")) {
                return Err(invalid("target_session_attrs must be read-write or primary"));
            }
        }
        parts.query.retain(|pair| !pair.starts_with("target_session_attrs="));
        let query = parts.query.join("&");
        let at = if parts.credentials.is_empty() { "" } else { "@" };
        let (scheme, credentials, path) = (parts.scheme, parts.credentials, parts.path);
        let each = parts.hosts.iter().map(|host| {
            // An empty authority is the local socket or what `host=` says.
            let host = if host.is_empty() && !at.is_empty() { "localhost" } else { host };
            let url = format!("{scheme}://{credentials}{at}{host}/{path}?{query}");
            // The parser's own error could quote the URL.
            let options =
                PgConnectOptions::from_str(&url).map_err(|_| invalid("a host or parameter is not valid"))?;
            Ok(options.disable_statement_logging())
        });
        Ok(Self { each: each.collect::<Result<_>>()? })
    }

    /// The hosts, beginning with number `first`.
    pub(super) fn starting_at(&self, first: usize) -> impl Iterator<Item = (usize, &PgConnectOptions)> {
        let count = self.each.len().max(1);
        let (before, from) = self.each.split_at(first.checked_rem(count).unwrap_or_default());
        let numbered = |offset: usize| move |(n, host)| (offset.saturating_add(n), host);
        let from_offset = before.len();
        from.iter().enumerate().map(numbered(from_offset)).chain(before.iter().enumerate().map(numbered(0)))
    }
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
