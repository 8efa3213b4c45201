//! The Python environment of the client tests: a venv under the target directory, built from the
//! pinned `tests/clients/requirements.txt`, rebuilt when that file changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Programs that the requirements must have brought; the tests run exactly these.
const CLIENTS: [&str; 6] = ["python", "pytest", "aws", "s5cmd", "rclone", "s3cmd"];

/// Returns the venv's `bin` directory, creating and filling the venv first if needed.
pub(crate) fn ensure(root: &Path, target: &Path) -> Result<PathBuf> {
    let requirements_path = root.join("tests/clients/requirements.txt");
    let requirements = fs::read_to_string(&requirements_path).context("reading the pinned requirements")?;
    let venv = target.join("test-venv");
    let bin = venv.join("bin");
    let stamp = venv.join("granary-requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements) && complete(&bin) {
        return Ok(bin);
    }
    if venv.exists() {
        fs::remove_dir_all(&venv).context("removing an outdated test venv")?;
    }
    fs::create_dir_all(target)?;
    process::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
        .context("python3 with the venv module is needed for the client tests")?;
    process::run(
        Command::new(bin.join("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements_path),
    )
    .context("installing the S3 clients")?;
    if !complete(&bin) {
        bail!("the pinned requirements did not bring all of {CLIENTS:?}");
    }
    fs::write(&stamp, requirements)?;
    Ok(bin)
}

fn complete(bin: &Path) -> bool {
    CLIENTS.iter().all(|name| bin.join(name).exists())
}
