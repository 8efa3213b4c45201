//! Runs the seeds of fuzz targets as ordinary tests, so that every test run passes over all of them without a second
//! compilation, and a seed of something that was once found stays found.
//!
//! Each seed is run as it is and with some hundred changes to it. They are the same each time: what fails here fails
//! again. `cargo xtask fuzz` is what looks for new things.
#![allow(clippy::panic, clippy::expect_used)] // A test helper that panics fails its test.

use std::any::Any;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

mod changes;

use changes::Changes;

/// A fuzz target: its name, as in `fuzz/fuzz_targets`, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// How often each seed is changed.
const CHANGES: u32 = 300;

/// Runs the seeds of all targets of a crate, which lies in `manifest_dir`.
///
/// # Panics
/// When a target finds something, has no seeds, or is not among `targets`.
pub fn replay(manifest_dir: &str, targets: &[Target]) {
    let fuzz = Path::new(manifest_dir).join("fuzz");
    let sources = files(&fuzz.join("fuzz_targets"));
    let there: BTreeSet<_> = sources.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let listed: BTreeSet<_> = targets.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, there, "every fuzz target is replayed");
    for (name, run) in targets {
        let seeds: Vec<_> = files(&fuzz.join("seeds").join(name))
            .into_iter()
            .map(|path| (fs::read(&path).expect("a seed"), path))
            .collect();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let mut changes = Changes::new(seeds.iter().map(|(seed, _)| seed.as_slice()));
        for (seed, path) in &seeds {
            check(path, seed, *run);
            for _ in 0..CHANGES {
                check(path, &changes.of(seed), *run);
            }
        }
    }
}

fn check(path: &Path, input: &[u8], run: fn(&[u8])) {
    let Err(found) = catch_unwind(AssertUnwindSafe(|| run(input))) else { return };
    let what = message(&*found);
    panic!("{} finds with {:?}: {what}", path.display(), String::from_utf8_lossy(input));
}

fn message(found: &(dyn Any + Send)) -> String {
    let text = found.downcast_ref::<String>().cloned();
    text.or_else(|| Some((*found.downcast_ref::<&str>()?).to_owned())).unwrap_or_default()
}

/// The files in a directory, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a directory's entry").path()).collect();
    paths.sort();
    paths
}
