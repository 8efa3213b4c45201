//! What an account has, in numbers.

use super::call::Call;
use super::limits;
use super::xml::Xml;
use crate::error::Result;

pub(super) fn account(call: &Call<'_>) -> Result<Xml> {
    call.authorise("*")?;
    let id = call.account_id();
    let counts = call.read(|state| {
        let policies: Vec<_> = state.policies(id).collect();
        let versions: usize = policies.iter().map(|policy| policy.versions.len()).sum();
        let keys = state.account_document(id).map_or(1, |account| account.keys.len());
        [
            ("Users", state.users(id).count()),
            ("Groups", state.groups(id).count()),
            ("Roles", state.roles(id).count()),
            ("Policies", policies.len()),
            ("PolicyVersionsInUse", versions),
            ("AccountAccessKeysPresent", usize::from(keys > 0)),
        ]
    });
    let quotas = [
        ("UsersQuota", limits::USERS),
        ("GroupsQuota", limits::GROUPS),
        ("RolesQuota", limits::ROLES),
        ("PoliciesQuota", limits::POLICIES),
        ("AccessKeysPerUserQuota", limits::KEYS_PER_USER),
        ("GroupsPerUserQuota", limits::GROUPS_PER_USER),
        ("AttachedPoliciesPerUserQuota", limits::ATTACHED),
        ("AttachedPoliciesPerGroupQuota", limits::ATTACHED),
        ("AttachedPoliciesPerRoleQuota", limits::ATTACHED),
        ("VersionsPerPolicyQuota", limits::VERSIONS),
        ("PolicySizeQuota", limits::MANAGED_POLICY_CHARS),
        ("AssumeRolePolicySizeQuota", limits::TRUST_POLICY_CHARS),
        ("UserPolicySizeQuota", limits::inline_chars(crate::documents::Kind::User)),
        ("GroupPolicySizeQuota", limits::inline_chars(crate::documents::Kind::Group)),
        ("RolePolicySizeQuota", limits::inline_chars(crate::documents::Kind::Role)),
        // There are no such things here.
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("AccountMFAEnabled", 0),
        ("Providers", 0),
        ("ServerCertificates", 0),
        ("InstanceProfiles", 0),
    ];
    let mut xml = Xml::new();
    xml.element("SummaryMap", |xml| {
        for (name, value) in counts.into_iter().chain(quotas) {
            xml.element("entry", |xml| {
                xml.text("key", name).text("value", value.to_string());
            });
        }
    });
    Ok(xml)
}
