//! What there is none of here. Clients ask for it all the same, as Terraform does before it deletes a user or a role, and go on when
//! there is none.

use super::call::Call;
use super::users;
use super::xml::Xml;
use crate::documents::Kind;
use crate::error::{Code, IamError, Result};

/// What a list is of.
enum Of {
    Account,
    User,
    Role,
}

/// An action that lists things, and the element that holds them.
pub(super) struct Absent {
    action: &'static str,
    element: &'static str,
    of: Of,
}

const LISTS: &[Absent] = &[
    Absent { action: "ListAccountAliases", element: "AccountAliases", of: Of::Account },
    Absent { action: "ListInstanceProfiles", element: "InstanceProfiles", of: Of::Account },
    Absent { action: "ListInstanceProfilesForRole", element: "InstanceProfiles", of: Of::Role },
    Absent { action: "ListMFADevices", element: "MFADevices", of: Of::User },
    Absent { action: "ListSAMLProviders", element: "SAMLProviderList", of: Of::Account },
    Absent { action: "ListSSHPublicKeys", element: "SSHPublicKeys", of: Of::User },
    Absent { action: "ListServerCertificates", element: "ServerCertificateMetadataList", of: Of::Account },
    Absent { action: "ListServiceSpecificCredentials", element: "ServiceSpecificCredentials", of: Of::User },
    Absent { action: "ListSigningCertificates", element: "Certificates", of: Of::User },
    Absent { action: "ListVirtualMFADevices", element: "VirtualMFADevices", of: Of::Account },
];

/// The list that an action of that name is for.
pub(super) fn find(action: &str) -> Option<&'static Absent> {
    LISTS.iter().find(|absent| absent.action == action)
}

impl Absent {
    /// The empty list, for who may see it, of what is there.
    pub(super) fn list(&self, call: &Call<'_>) -> Result<Xml> {
        match self.of {
            Of::Account => call.authorise("*")?,
            Of::User => check_user(call)?,
            Of::Role => {
                let name = call.form.required("RoleName")?;
                call.authorise(&call.arn(Kind::Role, name))?;
                call.read(|state| state.role(call.account_id(), name).map(drop))?;
            }
        }
        let mut xml = Xml::new();
        xml.texts(self.element, []);
        // The one list that has no pages.
        if self.action != "ListSAMLProviders" {
            xml.text("IsTruncated", "false");
        }
        Ok(xml)
    }
}

fn check_user(call: &Call<'_>) -> Result<()> {
    let Some(name) = users::named(call)? else { return call.authorise(&call.caller_arn()) };
    call.authorise(&call.arn(Kind::User, &name))?;
    call.read(|state| state.user(call.account_id(), &name).map(drop))
}

/// Users have no passwords.
pub(super) fn login_profile(call: &Call<'_>) -> Result<Xml> {
    let name = call.form.required("UserName")?;
    call.authorise(&call.arn(Kind::User, name))?;
    let message = format!("Login Profile for User {name} cannot be found.");
    Err(IamError::new(Code::NoSuchEntity, message))
}
