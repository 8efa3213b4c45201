//! The rules of a bucket's lifecycle, and when they say that something is over.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>

use std::time::Duration;

use granary_metadata::Tag;
use granary_types::{StorageClass, UnixMillis};
use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How long a day of a lifecycle rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayLength {
    /// A day, and what is over ends at the midnight (UTC) behind it, as in S3.
    Real,
    /// For tests: so long, and nothing is rounded.
    Debug(Duration),
}

impl DayLength {
    /// So many days after `from`.
    #[must_use]
    pub fn after(self, from: UnixMillis, days: u32) -> UnixMillis {
        match self {
            Self::Real => {
                let exact = from.0.saturating_add(i64::from(days).saturating_mul(DAY_MS));
                let into = exact.rem_euclid(DAY_MS);
                UnixMillis(if into == 0 { exact } else { exact.saturating_add(DAY_MS - into) })
            }
            Self::Debug(length) => {
                let day_ms = i64::try_from(length.as_millis()).unwrap_or(DAY_MS);
                UnixMillis(from.0.saturating_add(i64::from(days).saturating_mul(day_ms)))
            }
        }
    }
}

/// The lifecycle of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRules {
    /// The rules, in the order given.
    pub rules: Vec<LifecycleRule>,
    /// Which objects are too small to be moved to other classes, as the client named it.
    pub transition_minimum: Option<String>,
}

/// Whether a rule is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the variants are AWS's")]
pub enum RuleStatus {
    Enabled,
    Disabled,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRule {
    /// Its id.
    pub id: String,
    /// Whether it is followed.
    pub status: RuleStatus,
    /// What it is for.
    pub filter: LifecycleFilter,
    /// When current versions expire.
    pub expiration: Option<Expiration>,
    /// When older versions do.
    pub noncurrent: Option<NoncurrentExpiration>,
    /// After how many days an upload that is not completed is aborted.
    pub abort_days: Option<u32>,
    /// When current versions move to other classes.
    pub transitions: Vec<Transition>,
    /// When older versions do.
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
}

/// How the client wrote a filter, so that it comes back like that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilterShape {
    /// A prefix beside the actions, as before there were filters.
    RulePrefix,
    /// A filter with one condition, or none.
    #[default]
    Plain,
    /// A filter with all conditions in `And`.
    And,
}

/// What a rule is for: all of these must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleFilter {
    /// How it was written.
    pub shape: FilterShape,
    /// Keys that begin with this.
    pub prefix: Option<String>,
    /// Objects that have all of these tags.
    pub tags: Vec<Tag>,
    /// Objects longer than this.
    pub longer_than_bytes: Option<u64>,
    /// Objects shorter than this.
    pub shorter_than_bytes: Option<u64>,
}

/// When current versions expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// So many days after they were written.
    Days(u32),
    /// From then on.
    Date(UnixMillis),
    /// Not at all; but delete markers without older versions do (or not even those).
    Markers(bool),
}

/// When older versions expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// So many days after a newer version took their place.
    pub days: u32,
    /// But so many of the newest stay.
    pub newer: Option<u32>,
}

/// When something moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in `Expiration`")]
pub enum TransitionTime {
    Days(u32),
    Date(UnixMillis),
}

/// A move to another class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: TransitionTime,
    /// Where to.
    pub class: StorageClass,
}

/// A move of older versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentTransition {
    /// So many days after a newer version took their place.
    pub days: u32,
    /// But so many of the newest stay.
    pub newer: Option<u32>,
    /// Where to.
    pub class: StorageClass,
}

/// What is known of a version that a filter is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its length.
    pub length_bytes: u64,
    /// Its tags.
    pub tags: &'a [Tag],
}

impl LifecycleFilter {
    /// What the keys must begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    /// Whether the version is one of those that the rule is for.
    #[must_use]
    pub fn fits(&self, subject: Subject<'_>) -> bool {
        self.fits_untagged(subject.key, subject.length_bytes)
            && self.tags.iter().all(|tag| subject.tags.contains(tag))
    }

    /// Whether it is, as far as its tags do not matter.
    pub(crate) fn fits_untagged(&self, key: &str, length_bytes: u64) -> bool {
        key.starts_with(self.prefix())
            && self.longer_than_bytes.is_none_or(|limit| length_bytes > limit)
            && self.shorter_than_bytes.is_none_or(|limit| length_bytes < limit)
    }
}

impl LifecycleRule {
    pub(crate) fn enabled(&self) -> bool {
        self.status == RuleStatus::Enabled
    }

    /// From when on a current version of that time is over.
    pub(crate) fn expires_at(&self, modified: UnixMillis, day: DayLength) -> Option<UnixMillis> {
        match self.expiration? {
            Expiration::Days(days) => Some(day.after(modified, days)),
            Expiration::Date(date) => Some(date),
            Expiration::Markers(_) => None,
        }
    }

    /// From when on a delete marker of that time is over, once nothing is behind it. It has no tags and no length.
    pub(crate) fn marker_expires_at(&self, modified: UnixMillis, day: DayLength) -> Option<UnixMillis> {
        if !self.filter.tags.is_empty() {
            return None;
        }
        match self.expiration? {
            Expiration::Markers(true) => Some(modified),
            _ => self.expires_at(modified, day),
        }
    }

    /// From when on an older version is over that is behind `newer` other older ones, and was replaced then.
    pub(crate) fn noncurrent_expires_at(
        &self,
        replaced: UnixMillis,
        newer: u32,
        day: DayLength,
    ) -> Option<UnixMillis> {
        let rule = self.noncurrent.filter(|rule| rule.newer.is_none_or(|kept| newer >= kept))?;
        Some(day.after(replaced, rule.days))
    }
}

/// How long ago a version became what the moves of a rule count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// It is current, and was written then.
    Current(UnixMillis),
    /// It was replaced then, behind `newer` other older ones.
    Noncurrent { replaced: UnixMillis, newer: u32 },
}

/// Objects that are shorter are not moved where nothing else is said.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html>
const TRANSITION_BYTES_MIN: u64 = 128 * 1024;
/// By this setting, to archives they are.
const MINIMUM_BY_CLASS: &str = "varies_by_storage_class";

impl LifecycleRule {
    /// The classes that a version of that age belongs in, each from when on.
    fn steps(&self, age: Age, day: DayLength) -> Vec<(UnixMillis, StorageClass)> {
        match age {
            Age::Current(modified) => {
                let from = |at: TransitionTime| match at {
                    TransitionTime::Days(days) => day.after(modified, days),
                    TransitionTime::Date(date) => date,
                };
                self.transitions.iter().map(|step| (from(step.at), step.class)).collect()
            }
            Age::Noncurrent { replaced, newer } => {
                let steps = self.noncurrent_transitions.iter();
                let ours = steps.filter(|step| step.newer.is_none_or(|kept| newer >= kept));
                ours.map(|step| (day.after(replaced, step.days), step.class)).collect()
            }
        }
    }

    fn names_lengths(&self) -> bool {
        self.filter.longer_than_bytes.is_some() || self.filter.shorter_than_bytes.is_some()
    }
}

impl LifecycleRules {
    /// The class that a version of class `is` is to be moved to by now: of several, the coldest; but of those that can be read
    /// at once INTELLIGENT_TIERING, unless another is due later. With `None` for tags, as far as they do not matter.
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html>
    pub(crate) fn transition(
        &self,
        (key, length_bytes, tags): (&str, u64, Option<&[Tag]>),
        is: StorageClass,
        age: Age,
        (day, now): (DayLength, UnixMillis),
    ) -> Option<StorageClass> {
        let fits = |rule: &&LifecycleRule| match tags {
            None => rule.filter.fits_untagged(key, length_bytes),
            Some(tags) => rule.filter.fits(Subject { key, length_bytes, tags }),
        };
        let rules = self.rules.iter().filter(|rule| rule.enabled()).filter(fits);
        let due = rules.flat_map(|rule| {
            let due = rule.steps(age, day).into_iter().filter(|(from, _)| *from <= now);
            due.filter(|(_, class)| rule.names_lengths() || self.is_long_enough(length_bytes, *class))
        });
        let due: Vec<(UnixMillis, StorageClass)> = due.collect();
        let follows_use = due.iter().filter(|(_, class)| *class == StorageClass::IntelligentTiering);
        let follows_use = follows_use.map(|(from, _)| *from).min();
        let is_favoured = |(from, class): &(UnixMillis, StorageClass)| {
            let yields = !class.is_archive() && *class != StorageClass::IntelligentTiering;
            !(yields && follows_use.is_some_and(|other| *from <= other))
        };
        let favoured = due.into_iter().filter(is_favoured).map(|(_, class)| class);
        favoured.filter(|class| is.may_become(*class)).max_by_key(|class| class.coldness())
    }

    fn is_long_enough(&self, length_bytes: u64, class: StorageClass) -> bool {
        let by_class = self.transition_minimum.as_deref() == Some(MINIMUM_BY_CLASS);
        length_bytes >= TRANSITION_BYTES_MIN || (by_class && class.is_archive())
    }

    /// Whether a rule that is followed moves versions to other classes.
    pub(crate) fn move_anything(&self) -> bool {
        let moves =
            |rule: &LifecycleRule| !rule.transitions.is_empty() || !rule.noncurrent_transitions.is_empty();
        self.rules.iter().any(|rule| rule.enabled() && moves(rule))
    }

    /// Whether a rule asks for tags.
    #[must_use]
    pub fn need_tags(&self) -> bool {
        self.rules.iter().any(|rule| rule.enabled() && !rule.filter.tags.is_empty())
    }

    /// When the current version expires first, and by which rule.
    #[must_use]
    pub fn expiration(
        &self,
        subject: Subject<'_>,
        modified: UnixMillis,
        day: DayLength,
    ) -> Option<(UnixMillis, &str)> {
        let rules = self.rules.iter().filter(|rule| rule.enabled() && rule.filter.fits(subject));
        let times = rules.filter_map(|rule| Some((rule.expires_at(modified, day)?, rule.id.as_str())));
        times.min_by_key(|(at, _)| *at)
    }

    /// When an upload that was begun then is aborted first, and by which rule.
    #[must_use]
    pub fn abort(&self, key: &str, initiated: UnixMillis, day: DayLength) -> Option<(UnixMillis, &str)> {
        let rules = self.rules.iter().filter(|rule| rule.enabled() && key.starts_with(rule.filter.prefix()));
        let times = rules.filter_map(|rule| Some((day.after(initiated, rule.abort_days?), rule.id.as_str())));
        times.min_by_key(|(at, _)| *at)
    }

    /// The prefixes whose keys the rules that are followed are for, none of which begins with another.
    pub(crate) fn prefixes(&self, matters: impl Fn(&LifecycleRule) -> bool) -> Vec<String> {
        let rules = self.rules.iter().filter(|rule| rule.enabled() && matters(rule));
        let mut prefixes: Vec<&str> = rules.map(|rule| rule.filter.prefix()).collect();
        prefixes.sort_unstable();
        let mut apart: Vec<String> = Vec::new();
        for prefix in prefixes {
            // In this order, a prefix that begins with another comes right behind it and its like.
            if apart.last().is_none_or(|last| !prefix.starts_with(last.as_str())) {
                apart.push(prefix.to_owned());
            }
        }
        apart
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
