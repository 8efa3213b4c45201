use super::*;

fn rule(prefix: &str) -> LifecycleRule {
    LifecycleRule {
        id: format!("rule {prefix}"),
        status: RuleStatus::Enabled,
        filter: LifecycleFilter { prefix: Some(prefix.to_owned()), ..LifecycleFilter::default() },
        expiration: None,
        noncurrent: None,
        abort_days: None,
        transitions: Vec::new(),
        noncurrent_transitions: Vec::new(),
    }
}

#[test]
fn real_days_end_at_the_midnight_behind_them() {
    let noon = UnixMillis(10 * DAY_MS + DAY_MS / 2);
    assert_eq!(DayLength::Real.after(noon, 1), UnixMillis(12 * DAY_MS));
    assert_eq!(DayLength::Real.after(UnixMillis(10 * DAY_MS), 1), UnixMillis(11 * DAY_MS));
    assert_eq!(DayLength::Debug(Duration::from_secs(10)).after(noon, 3), UnixMillis(noon.0 + 30_000));
}

#[test]
fn filters_hold_whole_or_not_at_all() {
    let filter = LifecycleFilter {
        prefix: Some("logs/".into()),
        tags: vec![("a".into(), "1".into()), ("b".into(), "2".into())],
        longer_than_bytes: Some(10),
        shorter_than_bytes: Some(20),
        ..LifecycleFilter::default()
    };
    let tags = [("b".into(), "2".into()), ("c".into(), "3".into()), ("a".into(), "1".into())];
    let fits = |key, length_bytes, tags| filter.fits(Subject { key, length_bytes, tags });
    assert!(fits("logs/x", 11, &tags));
    assert!(!fits("logs", 11, &tags));
    assert!(!fits("logs/x", 10, &tags));
    assert!(!fits("logs/x", 20, &tags));
    assert!(!fits("logs/x", 11, &tags[..2]));
}

#[test]
fn the_first_expiration_counts() {
    let expiring = |prefix: &str, expiration| LifecycleRule { expiration: Some(expiration), ..rule(prefix) };
    let mut off = expiring("", Expiration::Days(1));
    off.status = RuleStatus::Disabled;
    let rules = LifecycleRules {
        rules: vec![
            off,
            expiring("a", Expiration::Days(5)),
            expiring("ab", Expiration::Days(3)),
            expiring("b", Expiration::Date(UnixMillis(7))),
            expiring("", Expiration::Markers(true)),
        ],
        transition_minimum: None,
    };
    let at = |key| {
        let subject = Subject { key, length_bytes: 1, tags: &[] };
        rules.expiration(subject, UnixMillis(0), DayLength::Real).map(|(at, id)| (at.0, id.to_owned()))
    };
    assert_eq!(at("abc"), Some((3 * DAY_MS, "rule ab".to_owned())));
    assert_eq!(at("a"), Some((5 * DAY_MS, "rule a".to_owned())));
    assert_eq!(at("b"), Some((7, "rule b".to_owned())));
    assert_eq!(at("c"), None);
}

#[test]
fn the_first_abort_counts() {
    let aborting = |prefix: &str, days| LifecycleRule { abort_days: Some(days), ..rule(prefix) };
    let mut off = aborting("", 1);
    off.status = RuleStatus::Disabled;
    let rules = LifecycleRules {
        rules: vec![off, rule("a"), aborting("a", 5), aborting("ab", 3)],
        transition_minimum: None,
    };
    let at = |key| {
        let found = rules.abort(key, UnixMillis(0), DayLength::Real);
        found.map(|(at, id)| (at.0, id.to_owned()))
    };
    assert_eq!(at("abc"), Some((3 * DAY_MS, "rule ab".to_owned())));
    assert_eq!(at("a"), Some((5 * DAY_MS, "rule a".to_owned())));
    assert_eq!(at("b"), None);
}

#[test]
fn prefixes_are_walked_once() {
    let rules = |prefixes: &[&str]| LifecycleRules {
        rules: prefixes.iter().map(|prefix| rule(prefix)).collect(),
        transition_minimum: None,
    };
    assert_eq!(rules(&["b/", "a", "ab", "a/c", "b/x", "c"]).prefixes(|_| true), ["a", "b/", "c"]);
    assert_eq!(rules(&["a", ""]).prefixes(|_| true), [""]);
    assert_eq!(rules(&["a"]).prefixes(|_| false), [""; 0]);
}

#[test]
fn the_newest_older_versions_stay() {
    let noncurrent = Some(NoncurrentExpiration { days: 2, newer: Some(3) });
    let rule = LifecycleRule { noncurrent, ..rule("") };
    assert_eq!(rule.noncurrent_expires_at(UnixMillis(0), 2, DayLength::Real), None);
    assert_eq!(rule.noncurrent_expires_at(UnixMillis(0), 3, DayLength::Real), Some(UnixMillis(2 * DAY_MS)));
}

/// What is midnight in UTC is so on every day, whatever clocks do elsewhere: the days here are those around both changes of 2026 in
/// Europe and in America, and a leap day.
#[test]
fn days_are_of_one_length_and_end_in_utc() {
    const HOUR_MS: i64 = DAY_MS / 24;
    // 2026-03-08, 2026-03-29, 2026-10-25, 2026-11-01 and 2028-02-29, as days since 1970.
    for day in [20_520, 20_541, 20_751, 20_758, 21_243] {
        let midnight = day * DAY_MS;
        for into in [1, HOUR_MS, 2 * HOUR_MS + 1, DAY_MS - 1] {
            for days in [0, 1, 3, 30, 365] {
                let ends = DayLength::Real.after(UnixMillis(midnight + into), days);
                assert_eq!(
                    ends,
                    UnixMillis(midnight + DAY_MS * (i64::from(days) + 1)),
                    "{day} {into} {days}"
                );
            }
        }
    }
    // AWS's example: written on January 15 at 10:30, three days mean January 19.
    let written = UnixMillis(16_085 * DAY_MS + 10 * HOUR_MS + HOUR_MS / 2);
    assert_eq!(DayLength::Real.after(written, 3), UnixMillis(16_089 * DAY_MS));
    assert_eq!(DayLength::Real.after(UnixMillis(i64::MAX - 5), u32::MAX), UnixMillis(i64::MAX), "for ever");
}

fn moved(rules: &LifecycleRules, length_bytes: u64, is: StorageClass, days: i64) -> Option<StorageClass> {
    let subject = ("key", length_bytes, None);
    rules.transition(subject, is, Age::Current(UnixMillis(0)), (DayLength::Real, UnixMillis(days * DAY_MS)))
}

fn moving(transitions: &[(u32, StorageClass)]) -> LifecycleRules {
    let transition =
        |(days, class): &(u32, StorageClass)| Transition { at: TransitionTime::Days(*days), class: *class };
    let transitions = transitions.iter().map(transition).collect();
    LifecycleRules { rules: vec![LifecycleRule { transitions, ..rule("") }], transition_minimum: None }
}

#[test]
fn objects_move_step_by_step_to_colder_classes_and_never_back() {
    use StorageClass::{DeepArchive, Glacier, GlacierIr, OnezoneIa, Standard, StandardIa};
    let rules = moving(&[(30, StandardIa), (90, Glacier), (180, DeepArchive)]);
    let large = 1 << 20;
    assert_eq!(moved(&rules, large, Standard, 29), None);
    assert_eq!(moved(&rules, large, Standard, 30), Some(StandardIa));
    assert_eq!(moved(&rules, large, StandardIa, 30), None);
    assert_eq!(moved(&rules, large, Standard, 90), Some(Glacier), "the coldest of those that are due");
    assert_eq!(moved(&rules, large, Glacier, 100), None);
    assert_eq!(moved(&rules, large, Glacier, 200), Some(DeepArchive));
    assert_eq!(moved(&rules, large, DeepArchive, 200), None);
    assert_eq!(moved(&moving(&[(1, GlacierIr)]), large, OnezoneIa, 1), None);
}

#[test]
fn small_objects_stay_unless_it_is_said_that_they_move() {
    use StorageClass::{Glacier, Standard, StandardIa};
    let small = 128 * 1024 - 1;
    let mut rules = moving(&[(1, StandardIa), (2, Glacier)]);
    assert_eq!(moved(&rules, small, Standard, 9), None);
    assert_eq!(moved(&rules, small + 1, Standard, 9), Some(Glacier));
    rules.transition_minimum = Some("varies_by_storage_class".to_owned());
    assert_eq!(moved(&rules, small, Standard, 1), None);
    assert_eq!(moved(&rules, small, Standard, 2), Some(Glacier));
    rules.transition_minimum = None;
    rules.rules[0].filter.longer_than_bytes = Some(10);
    assert_eq!(moved(&rules, 11, Standard, 1), Some(StandardIa), "a filter of lengths says so");
    assert_eq!(moved(&rules, 10, Standard, 1), None);
}

#[test]
fn older_versions_move_by_when_they_were_replaced() {
    let older = NoncurrentTransition { days: 3, newer: Some(2), class: StorageClass::Glacier };
    let rules = LifecycleRules {
        rules: vec![LifecycleRule { noncurrent_transitions: vec![older], ..rule("") }],
        transition_minimum: None,
    };
    let moved = |newer, days: i64| {
        let age = Age::Noncurrent { replaced: UnixMillis(0), newer };
        let now = (DayLength::Real, UnixMillis(days * DAY_MS));
        rules.transition(("key", 1 << 20, None), StorageClass::Standard, age, now)
    };
    assert_eq!((moved(1, 9), moved(2, 2)), (None, None));
    assert_eq!(moved(2, 3), Some(StorageClass::Glacier));
}

/// Steps of older versions, each of which leaves so many of the newest where they are.
#[test]
fn older_versions_move_in_steps_and_leave_the_newest() {
    use StorageClass::{DeepArchive, Glacier, GlacierIr, Standard};
    let step = |days, newer, class| NoncurrentTransition { days, newer, class };
    let steps = vec![step(1, None, GlacierIr), step(3, Some(1), Glacier), step(3, Some(4), DeepArchive)];
    let current = vec![Transition { at: TransitionTime::Days(1), class: DeepArchive }];
    let rule = LifecycleRule { transitions: current, noncurrent_transitions: steps, ..rule("") };
    let rules = LifecycleRules { rules: vec![rule], transition_minimum: None };
    let moved = |is, newer, days: i64| {
        let age = Age::Noncurrent { replaced: UnixMillis(0), newer };
        rules.transition(("key", 1 << 20, None), is, age, (DayLength::Real, UnixMillis(days * DAY_MS)))
    };
    assert_eq!(moved(Standard, 0, 0), None, "what is for current versions is not for older ones");
    assert_eq!([0, 1, 4].map(|newer| moved(Standard, newer, 1)), [Some(GlacierIr); 3]);
    let after_three = [0, 1, 3, 4].map(|newer| moved(GlacierIr, newer, 3));
    assert_eq!(after_three, [None, Some(Glacier), Some(Glacier), Some(DeepArchive)]);
    assert_eq!(moved(Glacier, 3, 9), None);
    // A newer one came: it is behind more than it was.
    assert_eq!(moved(Glacier, 4, 9), Some(DeepArchive));
}

#[test]
fn dates_move_everything_from_then_on() {
    use StorageClass::{Glacier, GlacierIr, Standard};
    let step = |day: i64, class| Transition { at: TransitionTime::Date(UnixMillis(day * DAY_MS)), class };
    let transitions = vec![step(100, GlacierIr), step(200, Glacier)];
    let rules =
        LifecycleRules { rules: vec![LifecycleRule { transitions, ..rule("") }], transition_minimum: None };
    let moved = |is, written: i64, now: i64| {
        let subject = ("key", 1 << 20, None);
        let (age, now) = (Age::Current(UnixMillis(written)), UnixMillis(now));
        rules.transition(subject, is, age, (DayLength::Real, now))
    };
    assert_eq!(moved(Standard, 0, 100 * DAY_MS - 1), None);
    assert_eq!(moved(Standard, 0, 100 * DAY_MS), Some(GlacierIr));
    assert_eq!(moved(Standard, 150 * DAY_MS, 150 * DAY_MS + 1), Some(GlacierIr), "also what comes later");
    assert_eq!(moved(GlacierIr, 0, 199 * DAY_MS), None);
    assert_eq!(moved(GlacierIr, 0, 200 * DAY_MS), Some(Glacier));
}

#[test]
fn prefix_tags_and_lengths_of_a_filter_must_all_hold() {
    let filter = LifecycleFilter {
        shape: FilterShape::And,
        prefix: Some("logs/".to_owned()),
        tags: vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())],
        longer_than_bytes: Some(100),
        shorter_than_bytes: Some(1_000),
    };
    let transitions = vec![Transition { at: TransitionTime::Days(1), class: StorageClass::StandardIa }];
    let rules = LifecycleRules {
        rules: vec![LifecycleRule { transitions, filter, ..rule("") }],
        transition_minimum: None,
    };
    let both = [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())];
    let moved = |key, length_bytes, tags| {
        let now = (DayLength::Real, UnixMillis(9 * DAY_MS));
        let age = Age::Current(UnixMillis(0));
        rules.transition((key, length_bytes, tags), StorageClass::Standard, age, now).is_some()
    };
    assert!(moved("logs/x", 101, Some(&both[..])));
    assert!(moved("logs/x", 101, None), "as far as the tags do not matter");
    assert!(!moved("logs/x", 101, Some(&both[..1])) && !moved("logs/x", 101, Some(&[])));
    assert!(!moved("log/x", 101, Some(&both[..])));
    assert!(!moved("logs/x", 100, Some(&both[..])) && !moved("logs/x", 1_000, Some(&both[..])));
}

/// Rules of one transition each, that overlap.
fn overlapping(steps: &[(&str, u32, StorageClass)]) -> LifecycleRules {
    let one = |(prefix, days, class): &(&str, u32, StorageClass)| {
        let transitions = vec![Transition { at: TransitionTime::Days(*days), class: *class }];
        LifecycleRule { transitions, ..rule(prefix) }
    };
    LifecycleRules { rules: steps.iter().map(one).collect(), transition_minimum: None }
}

#[test]
fn of_overlapping_rules_the_cheapest_class_counts_in_any_order() {
    use StorageClass::{DeepArchive, Glacier, GlacierIr, OnezoneIa, Standard, StandardIa};
    let large = 1 << 20;
    let mut steps =
        [("", 30, StandardIa), ("k", 30, Glacier), ("ke", 30, OnezoneIa), ("other", 1, DeepArchive)];
    for _ in 0..steps.len() {
        steps.rotate_left(1);
        assert_eq!(moved(&overlapping(&steps), large, Standard, 30), Some(Glacier), "{steps:?}");
    }
    // The shorter prefix is due first, and the longer one does not keep it from that.
    let rules = overlapping(&[("", 10, StandardIa), ("key", 365, GlacierIr)]);
    assert_eq!(moved(&rules, large, Standard, 10), Some(StandardIa));
    assert_eq!(moved(&rules, large, StandardIa, 365), Some(GlacierIr));
    let mut off = overlapping(&[("", 10, DeepArchive), ("key", 10, GlacierIr)]);
    off.rules[0].status = RuleStatus::Disabled;
    assert_eq!(moved(&off, large, Standard, 10), Some(GlacierIr));
}

/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html>
#[test]
fn intelligent_tiering_goes_before_all_but_archives() {
    use StorageClass::{
        DeepArchive, Glacier, GlacierIr, IntelligentTiering, OnezoneIa, Standard, StandardIa,
    };
    let large = 1 << 20;
    for other in [StandardIa, OnezoneIa, GlacierIr] {
        let rules = overlapping(&[("", 30, other), ("key", 30, IntelligentTiering)]);
        assert_eq!(moved(&rules, large, Standard, 30), Some(IntelligentTiering), "{other:?}");
        assert_eq!(moved(&rules, large, IntelligentTiering, 99), None, "{other:?}: it stays there");
        let rules = overlapping(&[("", 30, IntelligentTiering), ("key", 20, other)]);
        assert_eq!(moved(&rules, large, Standard, 30), Some(IntelligentTiering), "{other:?}: due longer");
    }
    for archive in [Glacier, DeepArchive] {
        let rules = overlapping(&[("", 30, IntelligentTiering), ("key", 30, archive)]);
        assert_eq!(moved(&rules, large, Standard, 30), Some(archive));
        assert_eq!(moved(&rules, large, IntelligentTiering, 30), Some(archive));
    }
    // A later step is one.
    let steps = moving(&[(30, IntelligentTiering), (90, GlacierIr)]);
    assert_eq!(moved(&steps, large, Standard, 30), Some(IntelligentTiering));
    assert_eq!(moved(&steps, large, IntelligentTiering, 89), None);
    assert_eq!(moved(&steps, large, IntelligentTiering, 90), Some(GlacierIr));
    assert_eq!(moved(&steps, large, Standard, 90), Some(GlacierIr));
}

/// Rules have the minimum that the configuration names, but for those whose filters name lengths.
#[test]
fn the_default_minimum_is_that_of_aws() {
    use StorageClass::{Glacier, GlacierIr, Standard};
    const MINIMUM: u64 = 128 * 1024;
    for minimum in [None, Some("all_storage_classes_128K".to_owned())] {
        let mut rules = overlapping(&[("", 1, GlacierIr), ("", 1, Glacier)]);
        rules.transition_minimum = minimum;
        assert_eq!(moved(&rules, MINIMUM - 1, Standard, 9), None);
        assert_eq!(moved(&rules, MINIMUM, Standard, 9), Some(Glacier));
        // One rule's filter is not another's.
        rules.rules[0].filter.shorter_than_bytes = Some(u64::MAX);
        assert_eq!(moved(&rules, 1, Standard, 9), Some(GlacierIr));
        assert_eq!(moved(&rules, MINIMUM, Standard, 9), Some(Glacier));
    }
}
