//! `cargo xtask tidy`: the house rules that no compiler checks.

mod layering;
mod source;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, workspace_root};

/// What the checks have found.
#[derive(Default)]
pub(crate) struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        self.errors.push(format!("{place}: {what}"));
    }

    fn warn(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        self.warnings.push(format!("{place}: {what}"));
    }
}

/// Runs every check, prints what they found, and fails if any found an error.
pub(crate) fn run() -> Result<()> {
    let root = workspace_root()?;
    let mut findings = Findings::default();
    for path in project_files(&root)? {
        let Ok(content) = std::fs::read(root.join(&path)) else { continue };
        let Ok(content) = String::from_utf8(content) else { continue };
        text::check(&path, &content, &mut findings);
        if path.extension().is_some_and(|extension| extension == "rs") {
            source::check(&path, &content, &mut findings)?;
        }
    }
    layering::check(&root, &mut findings)?;
    for warning in &findings.warnings {
        println!("warning: {warning}");
    }
    for error in &findings.errors {
        println!("error: {error}");
    }
    println!("tidy: {} errors, {} warnings", findings.errors.len(), findings.warnings.len());
    if !findings.errors.is_empty() {
        bail!("the tree is not tidy");
    }
    Ok(())
}

/// Every file that is, or would be, committed; relative to the root.
fn project_files(root: &Path) -> Result<Vec<PathBuf>> {
    let listing = process::capture(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(root),
    )
    .context("listing the project's files")?;
    Ok(listing.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect())
}
