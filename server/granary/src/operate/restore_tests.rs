use super::*;

#[test]
fn pages_add_up_and_the_first_failures_are_kept() {
    let mut done = Done::default();
    for page in 0..3_u64 {
        let failed = (0..60).map(|n| RestoreFailure { key: format!("{page}/{n}"), reason: String::new() });
        done.add(RestorePage {
            begun: 1,
            begun_bytes: 10,
            failed: failed.collect(),
            ..RestorePage::default()
        });
    }
    assert_eq!((done.begun, done.begun_bytes, done.failed, done.failures.len()), (3, 30, 180, 100));
}
