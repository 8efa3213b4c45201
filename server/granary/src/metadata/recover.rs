//! `granary recover`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use granary_engine::moving::MetadataPlace;
use granary_engine::recover::{
    BeginWith, Candidates, Existing, MissingDrives, RecoverOptions, Recovered, Verdict, recover_from_drives,
};
use granary_types::{ClusterId, WriteId};
use serde::Deserialize;
use serde_json::json;

use super::place;
use super::recover_shown::{Shown, print_report};
use crate::config::expand_data;
use crate::output::{OutputFormat, print_json, print_line};

/// What to rebuild the metadata from, and where to.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Read every block on the drives.
    #[arg(long, required = true)]
    from_drives: bool,
    /// A drive's directory; once for each drive of all nodes, or a range: /mnt/d{1...6}.
    #[arg(long, value_name = "DIRECTORY", required = true)]
    data: Vec<String>,
    /// Where the metadata shall be: postgres://… of an empty database [default: on these drives].
    #[arg(long, value_name = "PLACE", env = "GRANARY_METADATA", hide_env_values = true)]
    to: Option<String>,
    /// Write the metadata; without it, only report.
    #[arg(long)]
    apply: bool,
    /// Go on though drives of the store are not given: they are lost.
    #[arg(long)]
    lost: bool,
    /// What becomes of candidates about which the decisions say nothing.
    #[arg(long, value_name = "WHICH")]
    candidates: Option<Which>,
    /// A list as --list makes it, with decisions changed to "include" or "exclude".
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Write everything found that is uncertain or lost to this file, a line of JSON for each.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// The backup on the drives to begin with: its id, or "none" [default: the newest].
    #[arg(long, value_name = "ID")]
    backup: Option<String>,
    /// Replace metadata that is still on the drives; it is moved aside.
    #[arg(long)]
    move_metadata_aside: bool,
    /// A directory for temporary files: about 500 bytes for each version of an object.
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = std::env::temp_dir())]
    work: PathBuf,
}

/// What becomes of candidates.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// What the report suggests for each.
    Suggested,
    /// All of them count.
    All,
    /// None of them counts.
    None,
}

/// A line of decisions.
#[derive(Deserialize)]
struct Decision {
    write: String,
    decision: Option<Verdict>,
}

fn decisions(path: &Path) -> Result<HashMap<WriteId, Verdict>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut decided = HashMap::new();
    for (number, line) in (1_usize..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("line {number} of {}", path.display());
        let line: Decision = serde_json::from_str(line).with_context(place)?;
        if let Some(decision) = line.decision {
            decided.insert(line.write.parse().with_context(place)?, decision);
        }
    }
    Ok(decided)
}

fn options(args: &RecoverArgs) -> Result<(RecoverOptions, String)> {
    let data = expand_data(&args.data)?;
    let (to, shown) = match &args.to {
        Some(text) => {
            let parsed = place::parse(text).context("--to")?;
            if let MetadataPlace::Embedded(drives) = &parsed.place {
                ensure!(*drives == data, "--to sqlite: takes the same directories as --data; leave it out");
            }
            (parsed.place, parsed.shown)
        }
        None => (MetadataPlace::Embedded(data.clone()), "the drives".to_owned()),
    };
    let begin_with = match args.backup.as_deref() {
        None => BeginWith::Newest,
        Some("none") => BeginWith::Nothing,
        Some(id) => BeginWith::Backup(id.parse::<ClusterId>().context("--backup")?),
    };
    let candidates = match args.candidates {
        None => Candidates::Undecided,
        Some(Which::Suggested) => Candidates::AsSuggested,
        Some(Which::All) => Candidates::All,
        Some(Which::None) => Candidates::None,
    };
    let options = RecoverOptions {
        data,
        to: Some(to).filter(|_| args.apply),
        work: args.work.clone(),
        missing: if args.lost { MissingDrives::Lost } else { MissingDrives::Refused },
        existing: if args.move_metadata_aside { Existing::MovedAside } else { Existing::Refused },
        begin_with,
        candidates,
        decisions: args.decisions.as_deref().map(decisions).transpose()?.unwrap_or_default(),
        list: args.list.clone(),
    };
    Ok((options, shown))
}

/// Rebuilds the metadata from the drives, or reports what that would give.
///
/// # Errors
/// When it was refused or failed, or candidates are left to be decided about; it may be tried again.
pub async fn recover(args: &RecoverArgs, format: OutputFormat) -> Result<ExitCode> {
    if !args.from_drives {
        bail!("say what to recover from: --from-drives");
    }
    let (options, to) = options(args)?;
    let mut shown = Shown::new(format)?;
    let done = recover_from_drives(&options, |progress| shown.update(progress)).await;
    shown.end();
    let Recovered { report, written } = done.context("rebuilding the metadata from the drives")?;
    let is_undecided = args.apply && written.is_none();
    if format == OutputFormat::Json {
        print_json(&json!({
            "to": to,
            "written": written.as_ref().map(|written| written.digests.total()),
            "resumed_at": written.as_ref().map(|written| written.resumed_at),
            "report": report,
        }))?;
    } else {
        print_report(&report)?;
        print_line(&match &written {
            Some(written) => {
                format!("{} entries were written to {to} and found right.", written.digests.total())
            }
            None if is_undecided => {
                "Nothing was written: decide about the candidates first, with --candidates or \
                                     --decisions; --list FILE lists them."
                    .to_owned()
            }
            None => "Nothing was written: this is what --apply would write.".to_owned(),
        })?;
    }
    Ok(if is_undecided { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
