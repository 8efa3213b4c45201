use granary_types::UnixMillis;

use super::*;

fn retained(mode: LockMode, until: i64) -> ObjectLock {
    let retention = Some(Retention { mode, until: UnixMillis(until) });
    ObjectLock { retention, legal_hold: LegalHold::Off }
}

const NOW: UnixMillis = UnixMillis(100);

#[test]
fn retentions_hold_until_they_end_and_governance_can_be_bypassed() {
    use Bypass::{Governance as Past, Nothing};
    let cases = [
        (retained(LockMode::Governance, 101), Nothing, true),
        (retained(LockMode::Governance, 101), Past, false),
        (retained(LockMode::Compliance, 101), Past, true),
        (retained(LockMode::Compliance, 100), Nothing, false),
        (ObjectLock { retention: None, legal_hold: LegalHold::On }, Past, true),
        (ObjectLock::default(), Nothing, false),
    ];
    for (lock, bypass, holds) in cases {
        assert_eq!(lock.holds(NOW, bypass), holds, "{lock:?} {bypass:?}");
    }
}

#[test]
fn compliance_is_only_extended_and_governance_is_weakened_only_by_bypass() {
    let (governance, compliance) = (retained(LockMode::Governance, 200), retained(LockMode::Compliance, 200));
    let to = |lock: ObjectLock, new: ObjectLock, bypass| lock.retained(new.retention, NOW, bypass).is_some();
    use Bypass::{Governance as Past, Nothing};
    for bypass in [Nothing, Past] {
        assert!(to(compliance, retained(LockMode::Compliance, 200), bypass));
        assert!(to(compliance, retained(LockMode::Compliance, 300), bypass));
        assert!(!to(compliance, retained(LockMode::Compliance, 199), bypass));
        assert!(!to(compliance, retained(LockMode::Governance, 300), bypass));
        assert!(!to(compliance, ObjectLock::default(), bypass));
    }
    assert!(to(governance, retained(LockMode::Governance, 300), Nothing));
    for weaker in
        [retained(LockMode::Governance, 150), retained(LockMode::Compliance, 200), ObjectLock::default()]
    {
        assert!(!to(governance, weaker, Nothing), "{weaker:?}");
        assert!(to(governance, weaker, Past), "{weaker:?}");
    }
    let over = retained(LockMode::Compliance, 100);
    assert!(to(over, ObjectLock::default(), Nothing));
}
