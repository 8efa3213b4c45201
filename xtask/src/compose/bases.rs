//! The base images: pulled, or where no registry can be reached made with debootstrap and given their names.
//!
//! A stand-in holds what the Dockerfile and the compose file use of the original: Debian, a Rust toolchain (this
//! machine's own), and a Postgres whose entry point knows the same three variables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::docker::Tools;
use crate::process;

/// The Debian release of every base.
const SUITE: &str = "bookworm";

/// One image that the Dockerfile or docker-compose.yml names.
struct Base {
    name: &'static str,
    /// Debian packages beyond the minimal system.
    packages: &'static [&'static str],
    /// Changes that `docker import` applies, in the Dockerfile's words.
    changes: &'static [&'static str],
    /// What is put into the file system beyond packages.
    fill: fn(&Path) -> Result<()>,
}

const BASES: [Base; 3] = [
    Base { name: "debian:bookworm-slim", packages: &["ca-certificates"], changes: &[], fill: trust_as_here },
    Base {
        name: "rust:1.95-bookworm",
        packages: &["ca-certificates", "gcc", "g++", "libc6-dev", "make", "pkg-config"],
        changes: &[
            "ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ],
        fill: add_toolchain,
    },
    Base {
        name: "postgres:17",
        packages: &["postgresql"],
        changes: &["ENTRYPOINT [\"/usr/local/bin/entrypoint\"]"],
        fill: add_postgres_entry_point,
    },
];

/// Sees to it that every base is there.
pub(super) fn ensure(tools: &Tools, target: &Path) -> Result<()> {
    for base in &BASES {
        if tools.has_image(base.name) {
            continue;
        }
        let pulled = Command::new("docker").args(["pull", "--quiet", base.name]).status();
        if !pulled.is_ok_and(|status| status.success()) {
            make(base, target).with_context(|| format!("making a stand-in for {}", base.name))?;
        }
    }
    Ok(())
}

fn make(base: &Base, target: &Path) -> Result<()> {
    let dir = target.join("compose-base");
    if dir.exists() {
        fs::remove_dir_all(&dir).context("removing an unfinished base")?;
    }
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.arg("--variant=minbase");
    if !base.packages.is_empty() {
        debootstrap.arg(format!("--include={}", base.packages.join(",")));
    }
    process::run(debootstrap.arg(SUITE).arg(&dir))?;
    (base.fill)(&dir)?;
    import(base, &dir)?;
    fs::remove_dir_all(&dir).context("removing the base's files")
}

/// `tar | docker import`.
fn import(base: &Base, dir: &Path) -> Result<()> {
    let mut tar = Command::new("tar")
        .arg("--directory")
        .arg(dir)
        .args(["--create", "."])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start tar")?;
    let archive = tar.stdout.take().context("tar's output is piped")?;
    let mut import = Command::new("docker");
    import.arg("import");
    for change in base.changes {
        import.args(["--change", change]);
    }
    process::run(import.args(["-", base.name]).stdin(archive))?;
    if !tar.wait().context("waiting for tar")?.success() {
        bail!("tar failed");
    }
    Ok(())
}

/// Trusts the certificate authorities that this machine trusts: downloads during the build take the same way.
fn trust_as_here(dir: &Path) -> Result<()> {
    let bundle = "etc/ssl/certs/ca-certificates.crt";
    fs::copy(Path::new("/").join(bundle), dir.join(bundle)).context("copying the certificate bundle")?;
    Ok(())
}

fn add_toolchain(dir: &Path) -> Result<()> {
    trust_as_here(dir)?;
    let sysroot = process::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
    let destination = dir.join("usr/local/rust");
    fs::create_dir_all(&destination)?;
    for part in ["bin", "lib"] {
        process::run(
            Command::new("cp")
                .arg("--archive")
                .arg(PathBuf::from(sysroot.trim()).join(part))
                .arg(&destination),
        )?;
    }
    Ok(())
}

/// What the official image's entry point does with a fresh volume, in few words.
fn add_postgres_entry_point(dir: &Path) -> Result<()> {
    let script = include_str!("postgres-entrypoint.sh");
    let path = dir.join("usr/local/bin/entrypoint");
    fs::write(&path, script)?;
    process::run(Command::new("chmod").arg("0755").arg(&path))
}
