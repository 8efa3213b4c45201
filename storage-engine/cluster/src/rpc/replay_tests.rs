use super::*;

fn take(guard: &ReplayGuard, number: u64) -> Replay {
    guard.take((LifeId([1; 16]), SessionId([2; 16])), number, 1000, 1000)
}

#[test]
fn numbers_are_taken_once_in_any_order() {
    let guard = ReplayGuard::default();
    for number in [1, 3, 2, 100, 50, 0] {
        assert_eq!(take(&guard, number), Replay::Fresh, "{number}");
    }
    for number in [1, 3, 2, 100, 50, 0] {
        assert_eq!(take(&guard, number), Replay::Repeated, "{number}");
    }
}

#[test]
fn numbers_far_behind_are_refused() {
    let guard = ReplayGuard::default();
    assert_eq!(take(&guard, WINDOW + 10), Replay::Fresh);
    assert_eq!(take(&guard, 10), Replay::Repeated);
    assert_eq!(take(&guard, 11), Replay::Fresh);
    assert_eq!(take(&guard, 10 * WINDOW), Replay::Fresh);
    assert_eq!(take(&guard, WINDOW + 11), Replay::Repeated);
    assert_eq!(take(&guard, 10 * WINDOW - 1), Replay::Fresh);
}

#[test]
fn sessions_are_forgotten_only_when_all_their_requests_are_too_old() {
    let guard = ReplayGuard::default();
    let session = |i: usize| (LifeId([1; 16]), SessionId(u128::try_from(i).unwrap().to_be_bytes()));
    for i in 0..SESSIONS_MAX {
        assert_eq!(guard.take(session(i), 1, 5000, 5000), Replay::Fresh);
    }
    assert_eq!(guard.take(session(SESSIONS_MAX), 1, 5000, 5000), Replay::TooMany);
    assert_eq!(guard.take(session(0), 1, 5000, 5000), Replay::Repeated);
    let later = 5001 + CLOCK_TOLERANCE_MS;
    assert_eq!(guard.take(session(SESSIONS_MAX), 1, later, later), Replay::Fresh);
}
