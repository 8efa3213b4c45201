//! What AWS checks of a statement beyond its syntax.

use super::actions::{self, Target};
use super::error::PolicyError;
use super::pattern::{Case, Pattern, Syntax};
use super::{Listed, Policy, PolicyKind, Statement};

impl Policy {
    /// Checks that each condition of a bucket's policy can apply to an action of its statement: it could otherwise
    /// never be met, which is hardly what was meant. Policies that are kept are taken without this.
    ///
    /// # Errors
    /// [`PolicyError::ConditionWithoutAction`].
    pub fn check_conditions(&self) -> Result<(), PolicyError> {
        let all_apply = self.statements.iter().all(conditions_apply);
        if all_apply { Ok(()) } else { Err(PolicyError::ConditionWithoutAction) }
    }
}

fn conditions_apply(statement: &Statement) -> bool {
    let Listed::Only(named) = &statement.actions else { return true };
    let is_meant = |name: &str| named.iter().any(|action| action.could_match(name, Case::Insensitive));
    let meant: Vec<(&str, Target)> = actions::targets().filter(|(name, _)| is_meant(name)).collect();
    let applies = |key: &str| meant.iter().any(|action| actions::can_have(key, *action));
    statement.conditions.iter().all(|condition| applies(&condition.key))
}

/// Checks a statement of a policy of this kind.
pub(super) fn statement(statement: &Statement, kind: PolicyKind<'_>) -> Result<(), PolicyError> {
    let PolicyKind::Bucket(bucket) = kind else {
        return names(&statement.actions).iter().try_for_each(has_service);
    };
    let known: Vec<Vec<Target>> =
        names(&statement.actions).iter().map(s3_action).collect::<Result<_, _>>()?;
    let resources = statement.resources.as_ref().map(names).unwrap_or_default();
    let reached: Vec<Vec<Target>> =
        resources.iter().map(|arn| in_bucket(arn, bucket)).collect::<Result<_, _>>()?;
    if let (Listed::Only(_), Some(Listed::Only(_))) = (&statement.actions, &statement.resources) {
        let reaches = |targets: &Vec<Target>| reached.iter().flatten().any(|found| targets.contains(found));
        if !known.iter().all(reaches) {
            return Err(PolicyError::ActionWithoutResource);
        }
    }
    if statement.conditions.iter().any(|condition| !actions::is_key(&condition.key)) {
        return Err(PolicyError::InvalidKey);
    }
    Ok(())
}

fn names<T>(listed: &Listed<T>) -> &[T] {
    match listed {
        Listed::Only(list) | Listed::AllBut(list) => list,
    }
}

/// `*`, or a service, a colon and an action.
fn has_service(action: &Pattern) -> Result<(), PolicyError> {
    let fixed = action.fixed_start();
    let is_any = Pattern::compile("*", Syntax::Wildcards).as_ref() == Some(action);
    let named = fixed.split_once(':').is_some_and(|(service, _)| {
        !service.is_empty() && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    if is_any || named { Ok(()) } else { Err(PolicyError::InvalidAction) }
}

/// What the actions of S3 that a pattern means can apply to; there must be such an action.
fn s3_action(action: &Pattern) -> Result<Vec<Target>, PolicyError> {
    has_service(action)?;
    let meant = actions::targets().filter(|(name, _)| action.could_match(name, Case::Insensitive));
    let targets: Vec<Target> = meant.map(|(_, target)| target).collect();
    if targets.is_empty() { Err(PolicyError::InvalidAction) } else { Ok(targets) }
}

/// What of the bucket a resource's ARN can mean.
fn in_bucket(arn: &Pattern, bucket: &str) -> Result<Vec<Target>, PolicyError> {
    if Pattern::compile("*", Syntax::Wildcards).as_ref() == Some(arn) {
        return Ok(vec![Target::Bucket, Target::Object]);
    }
    let [arn, partition, service, region, account, resource] =
        arn.arn_parts().ok_or(PolicyError::InvalidResource)?;
    let is = |part: &Pattern, text: &str| part.is_fixed() && part.fixed_start() == text;
    let is_s3 = is(&arn, "arn") && is(&partition, "aws") && is(&service, "s3");
    let (name, has_objects) = resource.before_slash();
    let is_own = is(&region, "") && is(&account, "") && name.could_match(bucket, Case::Sensitive);
    if !is_s3 || !is_own {
        return Err(PolicyError::InvalidResource);
    }
    let mut targets = Vec::with_capacity(2);
    if resource.could_match(bucket, Case::Sensitive) {
        targets.push(Target::Bucket);
    }
    if has_objects {
        targets.push(Target::Object);
    }
    Ok(targets)
}
