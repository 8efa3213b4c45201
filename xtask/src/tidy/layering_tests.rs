use super::{Findings, check_arrows};

fn errors_of(name: &str, dependencies: &[&str]) -> usize {
    let mut findings = Findings::default();
    check_arrows(name, dependencies, &mut findings);
    findings.errors.len()
}

#[test]
fn arrows_point_down_only() {
    assert_eq!(errors_of("granary-s3", &["granary-engine", "granary-types", "axum"]), 0);
    assert_eq!(errors_of("granary-engine", &["granary-s3"]), 1);
    assert_eq!(errors_of("granary-drive", &["granary-erasure"]), 1);
}

#[test]
fn forbidden_shortcuts_are_found() {
    assert_eq!(errors_of("granary-s3", &["granary-drive"]), 1);
    assert_eq!(errors_of("granary-engine", &["http"]), 1);
}

#[test]
fn a_new_crate_needs_a_place() {
    assert_eq!(errors_of("granary-novel", &[]), 1);
    assert_eq!(errors_of("granary-types", &["granary-tests"]), 1);
}
