//! Access control lists: what they say, and how they are written.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html>

use super::owner::Owner;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::xml::XmlWriter;
use crate::xml::read::{Element, Limits, parse};

const ROOT: &str = "AccessControlPolicy";
const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";
/// The most grants of a list.
pub(crate) const GRANTS_MAX: usize = 100;

/// What a grant lets somebody do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    FullControl,
    Read,
    Write,
    ReadAcp,
    WriteAcp,
}

impl Permission {
    const ALL: [(Self, &'static str); 5] = [
        (Self::FullControl, "FULL_CONTROL"),
        (Self::Read, "READ"),
        (Self::Write, "WRITE"),
        (Self::ReadAcp, "READ_ACP"),
        (Self::WriteAcp, "WRITE_ACP"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(own, _)| *own == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(own, _)| *own)
    }
}

/// Whom a grant is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grantee {
    /// An account.
    Account { canonical: String, display_name: String },
    /// Anybody.
    AllUsers,
    /// Anybody with an account.
    AuthenticatedUsers,
    /// What delivers access logs.
    LogDelivery,
}

impl Grantee {
    pub(crate) fn account(owner: &Owner) -> Self {
        Self::Account { canonical: owner.canonical.clone(), display_name: owner.display_name.clone() }
    }

    /// A predefined group.
    pub(crate) fn group(uri: &str) -> Option<Self> {
        match uri {
            ALL_USERS => Some(Self::AllUsers),
            AUTHENTICATED_USERS => Some(Self::AuthenticatedUsers),
            LOG_DELIVERY => Some(Self::LogDelivery),
            _ => None,
        }
    }

    fn is_public(&self) -> bool {
        matches!(self, Self::AllUsers | Self::AuthenticatedUsers)
    }
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) grantee: Grantee,
    pub(crate) permission: Permission,
}

/// An access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acl {
    /// The canonical user id and the name of the owner.
    pub(crate) owner: (String, String),
    pub(crate) grants: Vec<Grant>,
}

/// Whether grants to the public count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublicGrants {
    Counted,
    Ignored,
}

impl Acl {
    /// The default list: all is the owner's.
    pub(crate) fn private(owner: &Owner) -> Self {
        let grants = vec![Grant { grantee: Grantee::account(owner), permission: Permission::FullControl }];
        Self { owner: (owner.canonical.clone(), owner.display_name.clone()), grants }
    }

    /// With the groups before the accounts, as AWS shows them.
    pub(crate) fn groups_first(mut self) -> Self {
        self.grants.sort_by_key(|grant| matches!(grant.grantee, Grantee::Account { .. }));
        self
    }

    /// Whether it grants anything to the public.
    pub(crate) fn is_public(&self) -> bool {
        self.grants.iter().any(|grant| grant.grantee.is_public())
    }

    /// Whether it grants anything to anybody but its owner.
    pub(crate) fn grants_to_others(&self) -> bool {
        let to_other = |grant: &Grant| match &grant.grantee {
            Grantee::Account { canonical, .. } => *canonical != self.owner.0,
            Grantee::AllUsers | Grantee::AuthenticatedUsers | Grantee::LogDelivery => true,
        };
        self.grants.iter().any(to_other)
    }

    /// Whether it grants a permission to an account, or to somebody who did not sign.
    pub(crate) fn grants(&self, permission: Permission, own: Option<&str>, public: PublicGrants) -> bool {
        self.grants.iter().any(|grant| {
            let is_meant = match &grant.grantee {
                Grantee::Account { canonical, .. } => own == Some(canonical.as_str()),
                Grantee::AllUsers => public == PublicGrants::Counted,
                Grantee::AuthenticatedUsers => public == PublicGrants::Counted && own.is_some(),
                Grantee::LogDelivery => false,
            };
            is_meant && (grant.permission == permission || grant.permission == Permission::FullControl)
        })
    }

    /// Whether it grants a permission to what delivers access logs.
    pub(crate) fn grants_to_log_delivery(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| {
            let is_enough = grant.permission == permission || grant.permission == Permission::FullControl;
            grant.grantee == Grantee::LogDelivery && is_enough
        })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// `MalformedACLError`; what `resolve` says of grantees.
    pub(crate) fn parse(document: &[u8], resolve: impl Fn(Named<'_>) -> S3Result<Grantee>) -> S3Result<Self> {
        let root = parse(document, &Limits::SMALL)
            .map_err(|error| S3Error::new(ErrorCode::MalformedACLError).because(error))?;
        if root.name != ROOT {
            return Err(malformed());
        }
        let owner = root.child("Owner").ok_or_else(malformed)?;
        let owner =
            (text(owner, "ID").ok_or_else(malformed)?, text(owner, "DisplayName").unwrap_or_default());
        let list = root.child("AccessControlList").ok_or_else(malformed)?;
        if list.children.len() > GRANTS_MAX {
            return Err(malformed());
        }
        let grant = |grant: &Element| -> S3Result<Grant> {
            let grantee = grant.child("Grantee").filter(|_| grant.name == "Grant").ok_or_else(malformed)?;
            let permission = text(grant, "Permission").and_then(|name| Permission::parse(&name));
            let named = match (text(grantee, "ID"), text(grantee, "URI"), text(grantee, "EmailAddress")) {
                (Some(id), None, None) => resolve(Named::Id(&id)),
                (None, Some(uri), None) => resolve(Named::Uri(&uri)),
                (None, None, Some(email)) => resolve(Named::Email(&email)),
                _ => Err(malformed()),
            };
            Ok(Grant { permission: permission.ok_or_else(malformed)?, grantee: named? })
        };
        Ok(Self { owner, grants: list.children.iter().map(grant).collect::<S3Result<_>>()? })
    }

    /// Reads what [`Self::document`] wrote.
    ///
    /// # Errors
    /// `MalformedACLError`.
    pub(crate) fn parse_stored(document: &[u8]) -> S3Result<Self> {
        let mut acl = Self::parse(document, |named| match named {
            Named::Id(id) => Ok(Grantee::Account { canonical: id.to_owned(), display_name: String::new() }),
            Named::Uri(uri) => Grantee::group(uri).ok_or_else(malformed),
            Named::Email(_) => Err(malformed()),
        })?;
        // The names were stored beside the ids.
        let root = parse(document, &Limits::SMALL)?;
        let names = root.child("AccessControlList").into_iter().flat_map(|list| &list.children);
        for (grant, element) in acl.grants.iter_mut().zip(names) {
            if let Grantee::Account { display_name, .. } = &mut grant.grantee {
                *display_name = element
                    .child("Grantee")
                    .and_then(|grantee| text(grantee, "DisplayName"))
                    .unwrap_or_default();
            }
        }
        Ok(acl)
    }

    /// Writes it.
    pub(crate) fn document(&self) -> String {
        let mut xml = XmlWriter::document(ROOT);
        let account = |xml: &mut XmlWriter, canonical: &str, display_name: &str| {
            xml.text("ID", canonical);
            if !display_name.is_empty() {
                xml.text("DisplayName", display_name);
            }
        };
        xml.open("Owner");
        account(&mut xml, &self.owner.0, &self.owner.1);
        xml.close("Owner");
        xml.open("AccessControlList");
        for grant in &self.grants {
            xml.open("Grant");
            let kind =
                if matches!(grant.grantee, Grantee::Account { .. }) { "CanonicalUser" } else { "Group" };
            xml.raw("<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"");
            xml.raw(kind);
            xml.raw("\">");
            match &grant.grantee {
                Grantee::Account { canonical, display_name } => account(&mut xml, canonical, display_name),
                Grantee::AllUsers => xml.literal("URI", ALL_USERS),
                Grantee::AuthenticatedUsers => xml.literal("URI", AUTHENTICATED_USERS),
                Grantee::LogDelivery => xml.literal("URI", LOG_DELIVERY),
            }
            xml.raw("</Grantee>");
            xml.literal("Permission", grant.permission.name());
            xml.close("Grant");
        }
        xml.close("AccessControlList");
        String::from_utf8_lossy(&xml.finish(ROOT)).into_owned()
    }
}

/// How a document or a header names a grantee.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named<'a> {
    Id(&'a str),
    Uri(&'a str),
    Email(&'a str),
}

fn text(element: &Element, name: &str) -> Option<String> {
    element.child(name).map(|child| child.text.trim().to_owned())
}

fn malformed() -> S3Error {
    ErrorCode::MalformedACLError.into()
}

#[cfg(test)]
#[path = "acl_tests.rs"]
mod tests;
