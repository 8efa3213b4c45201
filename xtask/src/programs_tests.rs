use super::*;

#[test]
fn only_test_programs_are_taken_from_what_cargo_tells() {
    let test = r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"name":"drives"},
        "profile":{"test":true},"executable":"/w/target/debug/deps/drives-1"}"#;
    let found = program(&test.replace('\n', " ")).unwrap();
    let expected = Program {
        name: "drives".to_owned(),
        path: "/w/target/debug/deps/drives-1".into(),
        directory: "/w/tests".into(),
    };
    assert_eq!(found, expected);
    assert_eq!(program(&test.replace("\"test\":true", "\"test\":false").replace('\n', " ")), None);
    assert_eq!(program(&test.replace("\"/w/target/debug/deps/drives-1\"", "null").replace('\n', " ")), None);
    assert_eq!(program("warning: not of cargo's messages"), None);
}

#[test]
fn each_program_runs_once_and_is_told_of_with_all_it_said() {
    let shell = |name: &str| Program { name: name.to_owned(), path: "/bin/sh".into(), directory: "/".into() };
    let programs: Vec<Program> = ["one", "two", "three", "four"].map(shell).into();
    let script = "pwd; echo to stderr >&2; echo $NAME; exit 3";
    let arguments = ["-c".to_owned(), script.to_owned()];
    let mut all = Vec::new();
    run(programs, &arguments, &[("NAME", Path::new("/a/name"))], |ran| all.push(ran)).unwrap();
    assert_eq!(all.len(), 4);
    let mut names: Vec<String> = all.iter().map(|ran| ran.lines[0].clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4);
    for ran in &all {
        assert!(!ran.passed);
        assert_eq!(ran.lines[1..4], ["/", "to stderr", "/a/name"]);
    }
}
