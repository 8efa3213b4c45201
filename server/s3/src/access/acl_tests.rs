use super::{Acl, Grant, Grantee, Permission, PublicGrants};
use crate::access::owner::Owner;

fn owner() -> Owner {
    Owner { account: "1".to_owned(), canonical: "aa".to_owned(), display_name: "A & a".to_owned() }
}

#[test]
fn what_is_written_is_read_again() {
    let mut acl = Acl::private(&owner());
    let other = Grantee::Account { canonical: "bb".to_owned(), display_name: String::new() };
    for (grantee, permission) in [
        (other, Permission::ReadAcp),
        (Grantee::AllUsers, Permission::Read),
        (Grantee::AuthenticatedUsers, Permission::Write),
        (Grantee::LogDelivery, Permission::WriteAcp),
    ] {
        acl.grants.push(Grant { grantee, permission });
    }
    assert_eq!(Acl::parse_stored(acl.document().as_bytes()).unwrap(), acl);
    assert!(Acl::parse_stored(b"<AccessControlPolicy/>").is_err());
}

#[test]
fn grants_are_to_whom_they_say() {
    let mut acl = Acl::private(&owner());
    assert!(!acl.is_public() && !acl.grants_to_others());
    let asks = |acl: &Acl, own, public| acl.grants(Permission::Read, own, public);
    assert!(asks(&acl, Some("aa"), PublicGrants::Ignored));
    assert!(!asks(&acl, Some("bb"), PublicGrants::Counted) && !asks(&acl, None, PublicGrants::Counted));
    acl.grants.push(Grant { grantee: Grantee::AuthenticatedUsers, permission: Permission::Read });
    assert!(acl.is_public() && acl.grants_to_others());
    assert!(asks(&acl, Some("bb"), PublicGrants::Counted) && !asks(&acl, None, PublicGrants::Counted));
    acl.grants.push(Grant { grantee: Grantee::AllUsers, permission: Permission::Read });
    assert!(asks(&acl, None, PublicGrants::Counted) && !asks(&acl, None, PublicGrants::Ignored));
    assert!(!acl.grants(Permission::Write, None, PublicGrants::Counted));
}

#[test]
fn groups_are_shown_before_accounts_and_otherwise_as_they_came() {
    let other = Grantee::Account { canonical: "bb".to_owned(), display_name: String::new() };
    let mut acl = Acl::private(&owner());
    for (grantee, permission) in [
        (Grantee::AllUsers, Permission::Write),
        (other.clone(), Permission::Read),
        (Grantee::AllUsers, Permission::Read),
    ] {
        acl.grants.push(Grant { grantee, permission });
    }
    let order: Vec<_> =
        acl.groups_first().grants.into_iter().map(|grant| (grant.grantee, grant.permission)).collect();
    assert_eq!(
        order,
        [
            (Grantee::AllUsers, Permission::Write),
            (Grantee::AllUsers, Permission::Read),
            (Grantee::account(&owner()), Permission::FullControl),
            (other, Permission::Read),
        ]
    );
}
