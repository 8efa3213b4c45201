//! The real program as a child process: what it prints, what it refuses, how it stops.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test helper that panics fails its test.

use std::process::{Command, Output, Stdio};

fn granary(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_granary"));
    command.args(args).stdin(Stdio::null()).env_clear();
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn config_check_prints_the_settings_of_all_layers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("granary.toml");
    std::fs::write(&file, "data = [\"/mnt/d{1...4}\"]\nregion = \"eu-north-1\"\nmax_connections = 7\n")
        .unwrap();
    let output = granary(&["config", "check", "--json", "--region", "us-west-2"])
        .env("GRANARY_CONFIG", &file)
        .env("GRANARY_MAX_CONNECTIONS", "9")
        .env("GRANARY_ROOT_SECRET_KEY", "never-shown")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(!text(&output).contains("never-shown"));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["drives"].as_array().unwrap().len(), 4);
    assert_eq!(document["settings"]["region"], "us-west-2");
    assert_eq!(document["settings"]["max_connections"], 9);
    let table = granary(&["config", "check", "--data", "/d"]).output().unwrap();
    assert!(text(&table).contains("127.0.0.1:9000"), "{}", text(&table));
}

#[test]
fn mistakes_are_refused_with_their_reason() {
    for (args, reason) in [
        (&["serve"][..], "--data"),
        (&["serve", "--data", "/d{1...2}", "--erasure", "4+2"], "needs 6 drives"),
        (&["serve", "--data", "/d", "--tls-cert", "c"], "together"),
        (&["config", "check", "--config", "/no/such/file"], "/no/such/file"),
        (&["drive", "list"], "GRANARY_ROOT_ACCESS_KEY"),
    ] {
        let output = granary(args).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        assert!(text(&output).contains(reason), "{args:?}: {}", text(&output));
    }
}

#[test]
fn half_of_the_root_credentials_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let output = granary(&["serve", "--data", data, "--listen", "127.0.0.1:0"])
        .env("GRANARY_ROOT_ACCESS_KEY", "root")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("set both or neither"), "{}", text(&output));
}

#[test]
fn an_unreachable_server_is_told_as_such() {
    let output = granary(&["volume", "list", "--endpoint", "http://127.0.0.1:1"])
        .env("GRANARY_ROOT_ACCESS_KEY", "root")
        .env("GRANARY_ROOT_SECRET_KEY", "long-enough")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("connecting to 127.0.0.1:1"), "{}", text(&output));
}
