//! From text to a policy.

use super::check;
use super::condition::Condition;
use super::error::PolicyError;
use super::json::{self, Json};
use super::pattern::{Pattern, Syntax};
use super::principal::PrincipalPattern;
use super::{Effect, Listed, POLICY_BYTES_MAX, Policy, PolicyKind, Sids, Statement};

type Members = [(String, Json)];

/// The language's version: the older one has no variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V2008,
    V2012,
}

impl Policy {
    /// Reads a policy of a kind.
    ///
    /// # Errors
    /// Whatever AWS refuses.
    pub fn parse(text: &[u8], kind: PolicyKind<'_>) -> Result<Self, PolicyError> {
        Self::parse_with(text, kind, Sids::Unique)
    }

    /// As [`Policy::parse`], where the ids of statements are checked or not.
    ///
    /// # Errors
    /// Whatever else AWS refuses.
    pub fn parse_with(text: &[u8], kind: PolicyKind<'_>, allowed: Sids) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLarge);
        }
        let members = json::parse(text)?;
        let text = String::from_utf8_lossy(text).into_owned();
        known(&members, &["Version", "Id", "Statement"])?;
        let version = version(&members)?;
        if let Some(id) = member(&members, "Id") {
            id.text()?;
        }
        let list = match member(&members, "Statement").ok_or(PolicyError::Missing("Statement"))? {
            Json::List(list) => list.iter().collect(),
            one @ Json::Object(_) => vec![one],
            _ => return Err(PolicyError::Syntax),
        };
        if list.is_empty() {
            return Err(PolicyError::NoStatement);
        }
        let mut statements = Vec::with_capacity(list.len());
        let mut sids: Vec<&str> = Vec::new();
        for one in list {
            let members = one.members()?;
            if let Some(sid) = member(members, "Sid") {
                let sid = sid.text()?;
                if allowed == Sids::Unique && !sid.is_empty() && sids.contains(&sid) {
                    return Err(PolicyError::DuplicateSid(sid.to_owned()));
                }
                sids.push(sid);
            }
            let statement = statement(members, version, kind)?;
            check::statement(&statement, kind)?;
            statements.push(statement);
        }
        Ok(Self { text, statements })
    }
}

fn member<'a>(members: &'a Members, name: &str) -> Option<&'a Json> {
    members.iter().find(|(other, _)| other == name).map(|(_, value)| value)
}

fn known(members: &Members, names: &[&str]) -> Result<(), PolicyError> {
    match members.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        Some((name, _)) => Err(PolicyError::UnknownField(name.clone())),
        None => Ok(()),
    }
}

fn version(members: &Members) -> Result<Version, PolicyError> {
    match member(members, "Version").map(Json::text) {
        None | Some(Ok("2008-10-17")) => Ok(Version::V2008),
        Some(Ok("2012-10-17")) => Ok(Version::V2012),
        Some(_) => Err(PolicyError::InvalidVersion),
    }
}

fn statement(members: &Members, version: Version, kind: PolicyKind<'_>) -> Result<Statement, PolicyError> {
    const ALL: [&str; 9] = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    known(members, &ALL)?;
    let effect = match member(members, "Effect").ok_or(PolicyError::Missing("Effect"))?.text()? {
        "Allow" => Effect::Allow,
        "Deny" => Effect::Deny,
        other => return Err(PolicyError::InvalidEffect(other.to_owned())),
    };
    let syntax = match version {
        Version::V2008 => Syntax::Wildcards,
        Version::V2012 => Syntax::Both,
    };
    let actions = patterns(members, ["Action", "NotAction"], Syntax::Wildcards, PolicyError::InvalidAction)?;
    let resources = patterns(members, ["Resource", "NotResource"], syntax, PolicyError::InvalidResource)?;
    let principals = match listed(members, ["Principal", "NotPrincipal"])? {
        None => None,
        Some(Either::Only(json)) => Some(Listed::Only(PrincipalPattern::list(json)?)),
        Some(Either::AllBut(_)) if effect == Effect::Allow => return Err(PolicyError::AllowNotPrincipal),
        Some(Either::AllBut(json)) => Some(Listed::AllBut(PrincipalPattern::list(json)?)),
    };
    match kind {
        PolicyKind::Identity if principals.is_some() => return Err(unknown("Principal")),
        PolicyKind::Trust if resources.is_some() => return Err(unknown("Resource")),
        PolicyKind::Bucket(_) | PolicyKind::Trust if principals.is_none() => {
            return Err(PolicyError::Missing("Principal"));
        }
        PolicyKind::Bucket(_) | PolicyKind::Identity if resources.is_none() => {
            return Err(PolicyError::Missing("Resource"));
        }
        _ => {}
    }
    Ok(Statement {
        effect,
        principals,
        actions: actions.ok_or(PolicyError::Missing("Action"))?,
        resources,
        conditions: conditions(members, version == Version::V2012)?,
    })
}

fn unknown(name: &str) -> PolicyError {
    PolicyError::UnknownField(name.to_owned())
}

/// An element, or its opposite.
enum Either<'a> {
    Only(&'a Json),
    AllBut(&'a Json),
}

/// The one of two elements that exclude each other.
fn listed<'a>(
    members: &'a Members,
    [only, all_but]: [&'static str; 2],
) -> Result<Option<Either<'a>>, PolicyError> {
    match (member(members, only), member(members, all_but)) {
        (Some(_), Some(_)) => Err(PolicyError::Syntax),
        (Some(json), None) => Ok(Some(Either::Only(json))),
        (None, Some(json)) => Ok(Some(Either::AllBut(json))),
        (None, None) => Ok(None),
    }
}

fn patterns(
    members: &Members,
    names: [&'static str; 2],
    syntax: Syntax,
    error: PolicyError,
) -> Result<Option<Listed<Pattern>>, PolicyError> {
    let compile = |json: &Json| -> Result<Vec<Pattern>, PolicyError> {
        let texts = json.texts()?;
        if texts.is_empty() {
            return Err(error.clone());
        }
        let compile = |text: &&str| Pattern::compile(text, syntax).ok_or_else(|| error.clone());
        texts.iter().filter(|text| !text.is_empty()).map(compile).collect()
    };
    let found = match listed(members, names)? {
        None => None,
        Some(Either::Only(json)) => Some(Listed::Only(compile(json)?)),
        Some(Either::AllBut(json)) => Some(Listed::AllBut(compile(json)?)),
    };
    match &found {
        Some(Listed::Only(list) | Listed::AllBut(list)) if list.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn conditions(members: &Members, variables: bool) -> Result<Vec<Condition>, PolicyError> {
    let Some(operators) = member(members, "Condition") else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (operator, keys) in operators.members()? {
        for (key, values) in keys.members()? {
            found.push(Condition::parse(operator, key, &values.values()?, variables)?);
        }
    }
    Ok(found)
}
