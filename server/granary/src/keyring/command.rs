//! `granary keyring`: what is done with the key ring by hand.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use granary_engine::{KeyName, KeyRow, Keys};
use granary_s3::dates::iso_date_millis;
use granary_types::UnixMillis;
use serde::Serialize;

use super::{Complaints, KeyRingPlace};
use crate::config::expand_data;
use crate::output::{OutputFormat, print_json, print_line, table};

/// What is done with it.
#[derive(Debug, Subcommand)]
pub enum KeyringCommand {
    /// List the keys and their versions; never the keys themselves.
    List(PlaceArgs),
    /// Make a key ring in a file that does not exist yet.
    Create(PlaceArgs),
    /// Add a key that clients can name (SSE-KMS).
    Add {
        /// Letters, digits or any of - _ / .
        name: KeyName,
        /// Where it is.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Give a key a new version, for what is written from now on; older objects are read with the older versions.
    Rotate {
        /// The key: sse-s3 is that of objects whose encryption names none.
        name: KeyName,
        /// Where it is.
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Where the key ring is.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// The file.
    #[arg(long, env = "GRANARY_KEYRING", value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// The drives that it is on, if it is in no file of its own.
    #[arg(long, env = "GRANARY_DATA", value_name = "DIRECTORY", value_delimiter = ',')]
    data: Vec<String>,
}

impl PlaceArgs {
    fn place(&self) -> Result<KeyRingPlace> {
        match &self.keyring {
            Some(file) => Ok(KeyRingPlace::File(file.clone())),
            None if self.data.is_empty() => {
                bail!("name the key ring with --keyring FILE, or its drives with --data")
            }
            None => Ok(KeyRingPlace::Drives(expand_data(&self.data)?)),
        }
    }
}

#[derive(Serialize)]
struct Shown {
    name: String,
    version: u32,
    id: String,
    created: String,
    active: bool,
}

/// Runs the command.
///
/// # Errors
/// No ring, one that cannot be read or written, or a change that it refuses.
pub fn run(command: &KeyringCommand, format: OutputFormat) -> Result<()> {
    match command {
        KeyringCommand::List(place) => show(&existing(&place.place()?)?, format),
        KeyringCommand::Create(place) => {
            let place = place.place()?;
            if !matches!(place, KeyRingPlace::File(_)) {
                bail!("a key ring on drives is made by `granary serve`; name a file with --keyring");
            }
            if place.read()?.is_some() {
                bail!("there is a key ring already");
            }
            let keys = Keys::generate(UnixMillis::now())?;
            place.write(&keys, Complaints::Logged)?;
            show(&keys, format)
        }
        KeyringCommand::Add { name, place } => {
            change(place, format, |keys| keys.add(name, UnixMillis::now()).context("adding the key"))
        }
        KeyringCommand::Rotate { name, place } => {
            change(place, format, |keys| keys.rotate(name, UnixMillis::now()).context("rotating the key"))
        }
    }
}

fn existing(place: &KeyRingPlace) -> Result<Keys> {
    place.read()?.context("there is no key ring yet; a server makes one on its drives when it starts")
}

fn change(place: &PlaceArgs, format: OutputFormat, how: impl FnOnce(&mut Keys) -> Result<()>) -> Result<()> {
    let place = place.place()?;
    let mut keys = existing(&place)?;
    how(&mut keys)?;
    place.write(&keys, Complaints::Logged)?;
    show(&keys, format)
}

fn show(keys: &Keys, format: OutputFormat) -> Result<()> {
    let rows = keys.rows();
    let newest = |row: &KeyRow| !rows.iter().any(|other| other.name == row.name && other.number > row.number);
    let shown = rows.iter().map(|row| Shown {
        name: row.name.clone(),
        version: row.number,
        id: row.id.to_string(),
        created: iso_date_millis(row.created),
        active: newest(row),
    });
    let shown: Vec<Shown> = shown.collect();
    if format == OutputFormat::Json {
        return print_json(&shown);
    }
    let line = |row: &Shown| {
        let active = if row.active { "active" } else { "for older objects" };
        vec![
            row.name.clone(),
            row.version.to_string(),
            row.id.clone(),
            row.created.clone(),
            active.to_owned(),
        ]
    };
    print_line(&table(
        &["NAME", "VERSION", "ID", "CREATED", "USE"],
        &shown.iter().map(line).collect::<Vec<_>>(),
    ))
}
