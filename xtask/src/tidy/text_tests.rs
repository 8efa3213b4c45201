use std::path::Path;

use super::{Findings, check};

fn errors_of(content: &str) -> usize {
    let mut findings = Findings::default();
    check(Path::new("x.md"), content, &mut findings);
    findings.errors.len()
}

#[test]
fn a_machines_path_is_found_and_a_relative_one_is_not() {
    assert_eq!(errors_of(concat!("see /ho", "me/someone/x")), 1);
    assert_eq!(errors_of(concat!("(/wo", "rk/main)")), 1);
    assert_eq!(errors_of("docs/home/page and https://example.org/home/page"), 0);
}
