use std::path::Path;

use super::{Findings, check};

fn errors_of(content: &str) -> Vec<String> {
    let mut findings = Findings::default();
    check(Path::new("x.rs"), content, &mut findings).unwrap();
    findings.errors
}

#[test]
fn a_long_function_is_found_wherever_it_stands() {
    let body = "let _ = 1;\n".repeat(70);
    assert_eq!(errors_of(&format!("fn f() {{\n{body}}}\n")).len(), 1);
    assert_eq!(errors_of(&format!("struct S; impl S {{ fn f() {{\n{body}}}\n }}")).len(), 1);
    assert_eq!(errors_of(&format!("trait T {{ fn f() {{\n{body}}}\n }}")).len(), 1);
    assert_eq!(errors_of("fn f() {}\n").len(), 0);
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(errors_of(&"// x\n".repeat(501)).len(), 1);
    assert_eq!(errors_of(&"// x\n".repeat(500)).len(), 0);
}

#[test]
fn ignored_tests_and_mutable_statics_are_found() {
    assert_eq!(errors_of("#[test]\n#[ignore]\nfn f() {}\n").len(), 1);
    assert_eq!(errors_of("static mut X: u8 = 0;\n").len(), 1);
}
