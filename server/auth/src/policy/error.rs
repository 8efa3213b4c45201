//! Why a text is no policy, in the words of AWS's `MalformedPolicy` errors.

/// Why a policy was not accepted. `Display` is the message of the error document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is not an object of JSON.
    #[error("Policies must be valid JSON and the first byte must be '{{'")]
    NotAnObject,
    /// It is not JSON, names an element twice, or is nested too deep. The text says which and where.
    #[error("This policy contains invalid Json: {0}")]
    InvalidJson(String),
    /// It is longer than [`super::POLICY_BYTES_MAX`].
    #[error("Normalized policy document exceeds the maximum allowed size of 20480 bytes.")]
    TooLarge,
    /// An element is missing, or empty.
    #[error("Missing required field {0}")]
    Missing(&'static str),
    /// An element that policies, or policies of this kind, do not have.
    #[error("Unknown field {0}")]
    UnknownField(String),
    /// A version that there is not.
    #[error("The policy must contain a valid version string")]
    InvalidVersion,
    /// There is no statement.
    #[error("Could not parse the policy: Statement is empty!")]
    NoStatement,
    /// An element is of the wrong type, or stands beside one that excludes it.
    #[error("Invalid policy syntax.")]
    Syntax,
    /// Neither `Allow` nor `Deny`.
    #[error("Invalid effect: {0}")]
    InvalidEffect(String),
    /// Two statements have the same id.
    #[error("Duplicate statement ID: {0}")]
    DuplicateSid(String),
    /// A principal that there cannot be.
    #[error("Invalid principal in policy")]
    InvalidPrincipal,
    /// `NotPrincipal` in a statement that allows. Source:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>
    #[error("Allow with NotPrincipal is not allowed.")]
    AllowNotPrincipal,
    /// An action that there is not.
    #[error("Policy has invalid action")]
    InvalidAction,
    /// A resource outside the bucket, or text that is no ARN.
    #[error("Policy has invalid resource")]
    InvalidResource,
    /// An action of a statement can apply to none of its resources.
    #[error("Action does not apply to any resource(s) in statement")]
    ActionWithoutResource,
    /// An operator that there is not.
    #[error("Invalid Condition type : {0}")]
    InvalidOperator(String),
    /// A condition key that no request has.
    #[error("Policy has an invalid condition key")]
    InvalidKey,
    /// A condition of a statement can apply to none of its actions.
    #[error("Conditions do not apply to combination of actions and resources in statement")]
    ConditionWithoutAction,
    /// A value that its operator cannot compare.
    #[error("Invalid value for condition operator {operator}: {value}")]
    InvalidValue {
        /// The operator.
        operator: String,
        /// The value.
        value: String,
    },
}
