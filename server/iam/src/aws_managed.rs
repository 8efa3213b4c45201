//! The managed policies that AWS has in every account, as far as they mean something here.
//!
//! Source: <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html>

/// A policy of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AwsManaged {
    pub(crate) name: &'static str,
    /// A unique id of AWS's form.
    pub(crate) id: &'static str,
    pub(crate) description: &'static str,
    pub(crate) text: &'static str,
}

const PREFIX: &str = "arn:aws:iam::aws:policy/";

/// In the order of their names.
pub(crate) const ALL: [AwsManaged; 6] = [
    AwsManaged {
        name: "AdministratorAccess",
        id: "ANPAGRANARYADMINISTRA",
        description: "Provides full access to all services and resources.",
        text: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    },
    AwsManaged {
        name: "AmazonS3FullAccess",
        id: "ANPAGRANARYS3FULLACCE",
        description: "Provides full access to all buckets.",
        text: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}"#,
    },
    AwsManaged {
        name: "AmazonS3ReadOnlyAccess",
        id: "ANPAGRANARYS3READONLY",
        description: "Provides read only access to all buckets.",
        text: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}"#,
    },
    AwsManaged {
        name: "AWSDenyAll",
        id: "ANPAGRANARYAWSDENYALL",
        description: "Deny all access.",
        text: r#"{"Version":"2012-10-17","Statement":[{"Sid":"DenyAll","Effect":"Deny","Action":["*"],"Resource":"*"}]}"#,
    },
    AwsManaged {
        name: "IAMFullAccess",
        id: "ANPAGRANARYIAMFULLACC",
        description: "Provides full access to IAM.",
        text: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}"#,
    },
    AwsManaged {
        name: "IAMReadOnlyAccess",
        id: "ANPAGRANARYIAMREADONL",
        description: "Provides read only access to IAM.",
        text: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"],"Resource":"*"}]}"#,
    },
];

impl AwsManaged {
    pub(crate) fn arn(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

/// The policy of that ARN.
pub(crate) fn find(arn: &str) -> Option<&'static AwsManaged> {
    let name = arn.strip_prefix(PREFIX)?;
    ALL.iter().find(|managed| managed.name == name)
}
