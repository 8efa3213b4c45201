use super::Totals;

#[test]
fn closing_lines_of_both_runners_are_counted() {
    let mut totals = Totals::default();
    totals.add_closing_line(
        "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
    );
    totals.add_closing_line("=================== 4 passed, 2 skipped, 1 error in 2.00s ====================");
    totals.add_closing_line("running 9 passed things");
    assert_eq!((totals.passed, totals.failed, totals.skipped), (7, 1, 3));
}

#[test]
fn a_run_that_tested_nothing_fails() {
    assert!(Totals::default().conclude().is_err());
}

#[test]
fn a_skipped_test_fails_the_run() {
    assert!(Totals { passed: 1, failed: 0, skipped: 1 }.conclude().is_err());
}
