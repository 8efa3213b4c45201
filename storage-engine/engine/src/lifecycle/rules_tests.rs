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
