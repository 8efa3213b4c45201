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
