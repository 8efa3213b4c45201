//! The real program from start to SIGTERM: credentials, readiness, the admin commands, the drain.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test helper that panics fails its test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A test that fails must not leave its server behind.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on one directory and a free port.
struct Server {
    child: KillOnDrop,
    /// Standard error up to and with the line that says where it serves.
    log: String,
    stderr: BufReader<std::process::ChildStderr>,
    address: String,
}

fn granary(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_granary"));
    command.args(args).stdin(Stdio::null()).env_clear();
    command
}

impl Server {
    fn start(data: &Path, extra: &[&str]) -> Self {
        let data = data.to_str().unwrap();
        let mut command =
            granary(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--data", data]);
        let mut child = KillOnDrop(command.args(extra).stderr(Stdio::piped()).spawn().unwrap());
        let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
        let mut log = String::new();
        loop {
            let start = log.len();
            assert_ne!(stderr.read_line(&mut log).unwrap(), 0, "the server ended: {log}");
            let line: serde_json::Value = serde_json::from_str(&log[start..]).unwrap_or_default();
            if let Some(endpoint) = line["endpoint"].as_str() {
                let address = endpoint.trim_start_matches("http://").to_owned();
                return Self { child, log, stderr, address };
            }
        }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.0), signal).unwrap();
    }

    /// Waits for the end; returns how, and the rest of the log.
    fn wait(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.0.wait().unwrap(), rest)
    }
}

#[test]
fn credentials_are_generated_shown_once_and_good_for_the_admin_commands() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert!(server.log.contains("GRANARY_ROOT_SECRET_KEY="), "{}", server.log);
    let endpoint = format!("http://{}", server.address);
    let data = dir.path().to_str().unwrap();
    let output =
        granary(&["drive", "list", "--json", "--endpoint", &endpoint, "--data", data]).output().unwrap();
    let drives: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(drives[0]["state"], "online", "{output:?}");
    let output = granary(&["scrub", "--json", "--endpoint", &endpoint, "--data", data]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    server.signal(Signal::TERM);
    assert!(server.wait().0.success());

    let server = Server::start(dir.path(), &[]);
    assert!(!server.log.contains("SECRET"), "{}", server.log);
    server.signal(Signal::INT);
    assert!(server.wait().0.success());
}

#[test]
fn health_and_metrics_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert!(server.get("/health/live").starts_with("HTTP/1.1 200"));
    assert!(server.get("/health/ready").starts_with("HTTP/1.1 200"));
    let anonymous = server.get("/");
    assert!(anonymous.starts_with("HTTP/1.1 403") && anonymous.contains("AccessDenied"), "{anonymous}");
    let missing = server.get("/bucket/key");
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("NoSuchBucket"), "{missing}");
    let admin = server.get("/_granary/v1/drives");
    assert!(admin.starts_with("HTTP/1.1 403"), "{admin}");
    let metrics = server.get("/metrics");
    let told = |name: &str| metrics.contains(name);
    assert!(told("granary_s3_requests_total") && told("granary_connections"), "{metrics}");
    assert!(told("granary_s3_request_seconds_count{operation=\"GetObject\"}"), "{metrics}");
    // The histograms of all operations were half a megabyte of zeros, which took twelve milliseconds to write out.
    assert!(!told("granary_s3_request_seconds_count{operation=\"PutBucketWebsite\"}"), "{metrics}");
    server.signal(Signal::TERM);
    assert!(server.wait().0.success());
}

#[test]
fn sigterm_waits_for_a_request_in_progress_and_no_longer_than_the_drain_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--drain-timeout-ms", "500"]);
    let mut stuck = TcpStream::connect(&server.address).unwrap();
    stuck.write_all(b"GET /unfinished HTTP/1.1\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    server.signal(Signal::TERM);
    let (status, log) = server.wait();
    assert!(status.success(), "{log}");
    assert!(log.contains("stopped"), "{log}");
    // Less than a head may take.
    assert!(started.elapsed() < Duration::from_secs(25));
}

/// Its key ring and its credentials are others too, and say nothing of what is wrong.
#[test]
fn a_drive_of_another_store_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    for data in [&ours, &theirs] {
        let server = Server::start(data, &[]);
        server.signal(Signal::TERM);
        assert!(server.wait().0.success());
    }
    let (ours, theirs) = (ours.to_str().unwrap(), theirs.to_str().unwrap());
    let output =
        granary(&["serve", "--listen", "127.0.0.1:0", "--data", ours, "--data", theirs]).output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("is a drive of another store"), "{told}");
}

#[test]
fn a_taken_port_is_told_before_a_drive_is_touched() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output =
        granary(&["serve", "--listen", &address, "--data", dir.path().to_str().unwrap()]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address), "{output:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
