//! The key ring of a server: where it is kept, and how it gets into a running one.
//!
//! A store on one machine makes itself a ring at its first start and keeps a copy on every drive, so that no lost drive
//! takes it along; a ring that lies elsewhere is named with `--keyring`, as the nodes of a cluster must. Copies only grow:
//! they are merged, and each copy that lacks something gets it before it is used. A running server notices within a few
//! seconds what `granary keyring` adds.

pub mod command;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use granary_drive::IDENTITY_FILE;
use granary_engine::{KeyRing, Keys};
use granary_types::UnixMillis;

use crate::config::Config;
use crate::secret_file;

/// The file's name in a drive's directory.
pub const FILE_NAME: &str = ".granary-keyring";

/// How often a running server looks for what was added.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// As long as the largest ring.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Where a key ring is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRingPlace {
    /// In one file.
    File(PathBuf),
    /// In a file on each of these drives.
    Drives(Vec<PathBuf>),
}

/// What becomes of a copy that cannot be written, as long as another one can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Complaints {
    Logged,
    Kept,
}

/// A ring that is in use, and what it was made of.
#[derive(Debug, Clone)]
pub struct LoadedKeyRing {
    /// For the engine.
    pub ring: KeyRing,
    keys: Keys,
}

impl KeyRingPlace {
    /// The place for a server with this configuration; `None` for a node that none was given to.
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        match (&config.settings.keyring, &config.node) {
            (Some(file), _) => Some(Self::File(file.clone())),
            (None, None) => Some(Self::Drives(config.drives.clone())),
            (None, Some(_)) => None,
        }
    }

    /// The ring that is kept there; one for drives is made if there is none. Writes nothing: drives are not known to be ours
    /// yet.
    ///
    /// # Errors
    /// A file that was named and is not there, that others can read, that is damaged, or copies that contradict each other.
    pub fn load(&self) -> Result<LoadedKeyRing> {
        let keys = match (self.read()?, self) {
            (Some(keys), _) => keys,
            (None, Self::Drives(_)) => {
                tracing::info!("a key ring was made; it is kept in {FILE_NAME} on each drive");
                Keys::generate(UnixMillis::now())?
            }
            (None, Self::File(file)) => bail!(
                "the key ring {0} does not exist; make it with `granary keyring create --keyring {0}`",
                file.display()
            ),
        };
        Ok(LoadedKeyRing { ring: KeyRing::new(keys.clone()), keys })
    }

    /// All copies, merged; `None` if there is none. Of several, one that cannot be understood is passed over: the others have
    /// what it had, and it is written anew from them.
    fn read(&self) -> Result<Option<Keys>> {
        let (mut merged, mut damaged): (Option<Keys>, _) = (None, None);
        for file in self.files() {
            let Some(text) = secret_file::read(&file, MAX_BYTES)? else { continue };
            match Keys::from_text(&text) {
                Ok(keys) => match &mut merged {
                    Some(merged) => merged.merge(keys).with_context(|| file.display().to_string())?,
                    None => merged = Some(keys),
                },
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "a copy of the key ring is damaged");
                    damaged = Some(anyhow::Error::new(error).context(file.display().to_string()));
                }
            }
        }
        match damaged.filter(|_| merged.is_none()) {
            Some(error) => Err(error),
            None => Ok(merged),
        }
    }

    /// Gives each copy that lacks any of `keys` all of them. Of drives, only those in use have one.
    fn write(&self, keys: &Keys, complaints: Complaints) -> Result<()> {
        let text = keys.to_text()?;
        let (mut kept, mut last_error) = (0_usize, None);
        for file in self.files() {
            if matches!(self, Self::Drives(_)) && !is_on_drive(&file) {
                continue;
            }
            let complete =
                read_file(&file).is_ok_and(|copy| copy.is_some_and(|copy| copy.rows() == keys.rows()));
            match if complete { Ok(()) } else { secret_file::write(&file, &text) } {
                Ok(()) => kept += 1,
                Err(error) if complaints == Complaints::Kept => last_error = Some(error),
                Err(error) => {
                    tracing::warn!(file = %file.display(), error = format!("{error:#}"), "key ring not kept");
                    last_error = Some(error);
                }
            }
        }
        match last_error {
            Some(error) if kept == 0 => Err(error).context("nothing could keep the key ring"),
            None if kept == 0 => bail!("no drive is in use that could keep the key ring"),
            _ => Ok(()),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::File(file) => vec![file.clone()],
            Self::Drives(drives) => drives.iter().map(|drive| drive.join(FILE_NAME)).collect(),
        }
    }
}

/// A directory without an identity is missing, empty or somebody else's: nothing is written there.
fn is_on_drive(file: &Path) -> bool {
    file.parent().is_some_and(|drive| drive.join(IDENTITY_FILE).is_file())
}

fn read_file(file: &Path) -> Result<Option<Keys>> {
    let Some(text) = secret_file::read(file, MAX_BYTES)? else { return Ok(None) };
    Keys::from_text(&text).map(Some).with_context(|| file.display().to_string())
}

impl LoadedKeyRing {
    /// Keeps a copy on each drive. Call it when the drives have been opened, and before anything is encrypted.
    ///
    /// # Errors
    /// No drive has a copy. One drive that cannot take it is only logged: the store works without.
    pub fn keep(&self, place: &KeyRingPlace) -> Result<()> {
        match place {
            KeyRingPlace::File(_) => Ok(()),
            KeyRingPlace::Drives(_) => place.write(&self.keys, Complaints::Logged),
        }
    }

    /// Looks for what was added, for ever. What cannot be read leaves the ring as it is.
    pub async fn follow(self, place: KeyRingPlace) {
        let mut ring = self;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let place = place.clone();
            let looked = tokio::task::spawn_blocking(move || {
                ring.look(&place);
                ring
            });
            match looked.await {
                Ok(looked) => ring = looked,
                Err(error) => {
                    tracing::error!(%error, "the key ring is not looked at any more");
                    return;
                }
            }
        }
    }

    fn look(&mut self, place: &KeyRingPlace) {
        match place.read() {
            Ok(Some(found)) => self.take(place, found),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the key ring cannot be read"),
        }
    }

    /// Uses what `found` has more, once it is kept.
    fn take(&mut self, place: &KeyRingPlace, found: Keys) {
        let mut merged = self.keys.clone();
        if let Err(error) = merged.merge(found) {
            tracing::error!(%error, "the key ring was replaced by another one; it is not used");
            return;
        }
        if merged.rows() == self.keys.rows() {
            // A drive that took another's place has no copy yet. One that cannot take it was told of before.
            let _kept = place.write(&self.keys, Complaints::Kept);
            return;
        }
        let grown = Self { ring: self.ring.clone(), keys: merged };
        if let Err(error) = grown.keep(place) {
            tracing::warn!(error = format!("{error:#}"), "the key ring grew, and is not kept");
            return;
        }
        self.ring.replace(grown.keys.clone());
        self.keys = grown.keys;
        tracing::info!(versions = self.keys.rows().len(), "the key ring grew");
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
