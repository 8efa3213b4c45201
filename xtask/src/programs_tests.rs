use super::*;

#[test]
fn of_what_cargo_tells_only_the_server_and_test_programs_are_taken() {
    let test = r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"name":"drives"},
        "profile":{"test":true},"executable":"/w/target/debug/deps/drives-1"}"#;
    let test = test.replace('\n', " ");
    let expected = Program {
        name: "drives".to_owned(),
        path: "/w/target/debug/deps/drives-1".into(),
        directory: "/w/tests".into(),
    };
    assert_eq!(executable(&test), Some(Executable::Test(expected)));
    let binary = test.replace("\"test\":true", "\"test\":false");
    assert_eq!(executable(&binary), None);
    let server = binary.replace("\"drives\"", "\"granary\"").replace("deps/drives-1", "granary");
    assert_eq!(executable(&server), Some(Executable::Server("/w/target/debug/granary".into())));
    let its_tests = server.replace("\"test\":false", "\"test\":true");
    assert!(matches!(executable(&its_tests), Some(Executable::Test(_))), "not the server");
    assert_eq!(executable(&test.replace("\"/w/target/debug/deps/drives-1\"", "null")), None);
    assert_eq!(executable("warning: not of cargo's messages"), None);
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
